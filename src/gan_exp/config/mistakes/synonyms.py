"""Other tools' names for keys, options and flags: each row has some names and what to set here.

`{}` stands for the value that the user gave. A row holds only what is right whatever else the user wrote.
"""

EPOCHS = (
    "a run's length is given in steps, generator updates; an epoch has images / batch_size of them "
    "(60,000 / 64 = 938): set steps=..."
)
KIMG = "a run's length is given in steps; a thousand images are 1000 / batch_size of them: set steps=..."
PER_NETWORK = "each network has its own: optimizer.generator.{key}=... and optimizer.discriminator.{key}=..."

# A remedy of the form `key=...` becomes "did you mean ...?"; other remedies are sentences.
_KEYS = {
    "epochs epoch num_epochs n_epochs max_epochs nepochs": EPOCHS,
    "kimg total_kimg nimg": KIMG,
    "iterations iteration iters iter n_iter niter num_iterations num_iters max_iter max_iters max_steps num_steps "
    "n_steps total_steps train_steps updates step": "steps={}",
    "learning_rate learningrate l_r rate": "lr={}",
    "g_lr lr_g lrg generator_lr lr_generator gen_lr": "optimizer.generator.lr={}",
    "d_lr lr_d lrd discriminator_lr lr_discriminator disc_lr critic_lr": "optimizer.discriminator.lr={}",
    "batch bs batchsize b batch_sz minibatch minibatch_size mini_batch_size n_batch": "batch_size={}",
    "z_dim zdim nz z dim_z latent latents latent_size z_size noise_dim noise_size latent_dims n_z": "latent_dim={}",
    "manual_seed random_seed rng_seed": "seed={}",
    "workers num_workers n_workers nworkers n_cpu dataloader_workers": (
        "there are no worker processes, since the data lies packed in memory; device.threads=... sets the CPU's threads"
    ),
    "gpus num_gpus n_gpus ngpu world_size nproc nprocs num_processes n_processes processes nproc_per_node nodes": (
        "device.processes=... trains on so many GPUs of this machine (docs/scaling.md has several machines)"
    ),
    "gpu_ids gpu_id gpu": "device=cuda, and device.index=... says which GPU",
    "cuda use_cuda use_gpu": "set device=cuda",
    "cpu no_cuda use_cpu": "set device=cpu",
    "mps use_mps": "set device=mps",
    "out outdir out_dir output output_dir save_dir log_dir logdir results_dir result_dir outf run_dir exp_dir dir "
    "save_path": "hydra.run.dir={}",
    "data_dir dataroot data_root data_path datapath dataset_path data_folder image_dir images": (
        "for a folder of images: dataset=folder dataset.root={}"
    ),
    "data": "dataset={}",
    "arch architecture network networks net": "model={}",
    "criterion objective loss_fn loss_function gan_mode gan_loss adversarial_loss gan_type": "loss={}",
    "opt optim": "optimizer={}",
    "beta1 beta_1 b1 beta2 beta_2 b2 beta": "optimizer.generator.betas=[0.5,0.999] (beta1, beta2; D's follow)",
    "ema ema_decay ema_beta ema_kimg ema_rate ema_halflife moving_average": (
        "set ema_halflife_kimg=..., in thousands of images (a decay of 0.999 at batch_size=64 is 44; 0: no average)"
    ),
    "critic_iters n_dis ncritic critic_steps d_steps disc_steps dis_iters d_iters n_discriminator num_d_steps "
    "d_updates": "n_critic={}",
    "gp gp_weight lambda_gp gp_lambda gradient_penalty gp_coef lambda_": "penalty=wgan_gp penalty.weight=...",
    "r1_gamma r1_weight lambda_r1": "penalty=r1 penalty.gamma={}",
    "clip_value weight_clip weight_clipping clip_weights c": "loss=wgan loss.clip={}",
    "num_classes n_classes nclasses": (
        "the data says how many classes there are; conditional=true gives the labels to the networks"
    ),
    "cond labels use_labels class_conditional class_cond conditioning": "conditional={}",
    "nc n_channels num_channels img_channels image_channels": (
        "the data says how many channels there are; a folder of images has dataset.channels=..."
    ),
    "ngf g_width gen_width": "model=dcgan model.generator.width={}",
    "ndf d_width disc_width": "model=dcgan model.discriminator.width={}",
    "precision dtype": "device.precision={}",
    "fp16 bf16 amp half mixed_precision": "device.precision=bf16",
    "tf32 allow_tf32": "device.precision=tf32",
    "accumulate accumulation grad_accum grad_accumulation gradient_accumulation accumulation_steps accum_iter "
    "gradient_accumulation_steps batch_split": (
        "micro_batch_size=... sets how many images of a batch go through the networks at once; batch_size=... counts "
        "those of an update"
    ),
    "micro_batch microbatch microbatch_size micro_bs batch_gpu": "micro_batch_size={}",
    "resume checkpoint ckpt pretrained load load_from resume_from": (
        "`gan-exp resume RUN` continues a run, `gan-exp train --again RUN` trains it anew"
    ),
    "log_every log_interval print_every logging_steps log_freq print_freq log_steps": "log_every_steps={}",
    "sample_every sample_interval save_image_every sample_freq": "sample_every_steps={}",
    "save_every save_interval checkpoint_every ckpt_every save_freq snapshot_every": "checkpoint_every_steps={}",
    "eval_every evaluate_every eval_interval fid_every eval_freq": "evaluate_every_steps={}",
    "metric monitor_metric": "best_metric={}",
    "metrics fid": "`gan-exp evaluate RUN` measures a run; evaluate_every_steps=... does it while it trains",
    "aug augmentation augmentations": "augment={}",
    "sn use_sn spectralnorm": "spectral_norm={}",
    "scheduler lr_schedule lr_scheduler lr_decay decay": "schedule=linear or schedule=cosine",
    "exp_name run_name experiment_name title": "name={}",
    "exp recipe preset": "experiment={}",
    "verbose quiet progress": "display=quiet, plain or live",
    "tensorboard wandb logger": "TensorBoard's events are always written; `gan-exp dashboard` shows them",
    "optimizer.lr optimizer.learning_rate": (
        "lr=... sets it for both networks, optimizer.discriminator.lr=... for D alone"
    ),
    "optimizer.betas optimizer.beta1 optimizer.beta2": PER_NETWORK.format(key="betas"),
    "optimizer.weight_decay weight_decay wd": "optimizer=adamw has " + "optimizer.generator.weight_decay",
    "optimizer.eps optimizer.momentum": "each network has its own, optimizer.generator.* and optimizer.discriminator.*",
    "penalty.lambda penalty.coef penalty.lambda_gp": "penalty=wgan_gp penalty.weight={}",
    "device.gpu device.id device.gpu_id device.ids": "device.index={}",
    "device.gpus device.num_gpus device.nproc device.num_processes device.world_size": "device.processes={}",
    "device.num_threads device.n_threads": "device.threads={}",
    "dataset.path dataset.dir dataset.folder dataset.directory dataset.data_dir": "dataset=folder dataset.root={}",
}
IMAGE_SIZE = ("resolution", "res", "image_size", "img_size", "imsize", "imagesize", "img_dim", "image_dim", "size")

# Options by their group; a remedy without `=` is another option of the group.
_OPTIONS = {
    "device": {"gpu nvidia rocm": "cuda", "metal apple m1 m2 m3 silicon": "mps", "none": "cpu"},
    "loss": {
        "bce bcewithlogits cross_entropy binary_cross_entropy gan standard nsgan ns nonsaturating sgan": (
            "non_saturating"
        ),
        "vanilla original mm": "minimax or non_saturating",
        "mse l2 ls least_squares leastsquares": "lsgan",
        "wasserstein w w1 earth_mover": "wgan",
        "relativistic rgan r3gan ragan": "rpgan",
        "wgan_gp wgangp": "wgan_gp is a penalty, which goes with the Wasserstein loss: "
        "loss=wgan loss.clip=null penalty=wgan_gp",
    },
    "penalty": {"gp gradient gradient_penalty wgangp": "wgan_gp", "zero_centered r1gp": "r1", "r2": "r1_r2"},
    "augment": {"true on yes": "diffaugment or ada", "false off no": "none", "adaptive": "ada"},
    "schedule": {"none off fixed": "constant", "cosine_annealing": "cosine", "lineardecay": "linear"},
    "dataset": {
        "faces": "celeba",
        "images own custom my imagefolder image_folder photos pictures": (
            "for a folder of images: dataset=folder dataset.root=path/to/images"
        ),
        "fmnist fashion": "fashion_mnist",
        "toy gaussians 8gaussians circle": "ring",
        "25gaussians": "grid",
        "cifar": "cifar10",
    },
    "model": {
        "cnn conv convnet": "dcgan",
        "fc linear dense": "mlp",
        "sngan": "SNGAN is model=resnet spectral_norm=true loss=hinge",
        "cgan cdcgan conditional": "conditional=true gives the labels to the networks of any model",
        "res_net resnet18 resnet50": "resnet",
    },
}

# Values of keys that take one of a few words, by the last part of the key.
_VALUES = {
    "precision": {
        "bfloat16 bfloat float16 fp16 f16 half 16 mixed amp bf16_mixed 16_mixed": "bf16",
        "fp32 f32 full single float 32 highest": "float32",
        "high tensorfloat32": "tf32",
    },
}

# Flags of the commands.
FLAGS = {
    "--n": "--count", "-n": "--count", "--num": "--count", "--number": "--count", "--samples": "--count",
    "--num-samples": "--count", "--n-samples": "--count", "--num_samples": "--count", "--images": "--count",
    "-o": "--output", "--out": "--output", "--outdir": "--output", "--file": "--output", "--output-dir": "--output",
    "--psi": "--truncation", "--truncate": "--truncation", "--truncation-psi": "--truncation",
    "--overwrite": "--force", "-f": "--force", "--offset": "--start", "--no-ema": "--no-average",
    "--ckpt": "--checkpoint", "--step": "--checkpoint", "--epoch": "--checkpoint", "--label": "--class",
    "--dry-run": "--cfg job", "--print-config": "--cfg job",
    "--metric": "--metrics", "--best": "--checkpoint best", "-s": "--seed", "--num-seeds": "--seeds",
}  # fmt: skip

# Other names for the commands.
COMMANDS = {
    "eval": "evaluate", "fid": "evaluate", "test": "evaluate", "score": "evaluate", "measure": "evaluate",
    "generate": "sample", "gen": "sample", "infer": "sample", "inference": "sample", "draw": "sample",
    "continue": "resume", "restart": "resume", "fit": "train", "run": "train", "start": "train",
    "tensorboard": "dashboard", "board": "dashboard", "check": "doctor", "diagnose": "doctor", "status": "doctor",
    "ls": "runs", "list": "runs", "show": "runs", "history": "runs", "diff": "compare", "rank": "compare",
    "animate": "interpolate", "walk": "interpolate", "morph": "interpolate", "slerp": "interpolate",
    "project": "invert", "encode": "invert", "reconstruct": "invert", "neighbours": "nearest", "neighbors": "nearest",
    "pca": "directions", "sefa": "directions", "ganspace": "directions", "timelapse": "evolution",
    "save": "export", "sweep": "train -m", "multirun": "train -m",
}  # fmt: skip


def plain_word(word: str) -> str:
    """`word` as names are compared: Batch-Size is batch_size."""
    return word.lower().replace("-", "_")


KEYS = {name: remedy for names, remedy in _KEYS.items() for name in names.split()}
OPTIONS, VALUES = (
    {(owner, name): remedy for owner, rows in table.items() for names, remedy in rows.items() for name in names.split()}
    for table in (_OPTIONS, _VALUES)
)
