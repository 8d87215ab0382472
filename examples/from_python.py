"""Trains a GAN on 8x8 digits over two seeds, measures it, and writes its samples: python examples/from_python.py"""

import gan_exp


def main() -> None:
    runs = [gan_exp.train(["steps=2000", f"seed={seed}"]) for seed in (0, 1)]
    for run in runs:
        steps, losses = run.curve("loss/generator")
        print(f"{run.path.name}: {run.state} at step {run.step}, G's loss {losses[-1]:.3f} at step {steps[-1]:.0f}")
        print(f"doctor: {', '.join(verdict.name for verdict in run.doctor())}")
    for found in gan_exp.evaluate(runs, metrics=["manifolds"], features="pixels", count=1000, seeds=2, quiet=True):
        recall = found.scores["recall_pixels"]
        print(f"recall {recall.mean:.2f} +- {recall.sd:.2f}, of real images {recall.data:.2f}")
    print(gan_exp.compare(runs, by="recall_pixels"))
    images = runs[0].sample(1000, seed=1)  # [1000, 1, 8, 8] in [-1, 1]
    print(f"samples have a mean of {images.mean():.2f}, between {images.min():.2f} and {images.max():.2f}")
    runs[0].grid(64, seed=1).save("digits.png")


if __name__ == "__main__":
    try:
        main()
    except gan_exp.UserError as error:
        raise SystemExit(str(error)) from None
