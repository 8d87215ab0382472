import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from gan_exp.errors import UserError
from gan_exp.search.space import parse_space


@pytest.mark.parametrize(
    ("word", "distribution"),
    [
        ("lr=log(1e-5,1e-2)", FloatDistribution(1e-5, 1e-2, log=True)),
        ("lr=tag(log,interval(1e-5,1e-2))", FloatDistribution(1e-5, 1e-2, log=True)),
        ("instance_noise=interval(0,1)", FloatDistribution(0, 1)),
        ("batch_size=int(log(16,256))", IntDistribution(16, 256, log=True)),
        ("pac=int(interval(1,4))", IntDistribution(1, 4)),
        ("n_critic=range(1,9,2)", IntDistribution(1, 7, step=2)),  # as in a sweep, without its end
        ("n_critic=range(5,1,-2)", IntDistribution(3, 5, step=2)),
        ("instance_noise=range(0,1,0.1)", FloatDistribution(0.0, 0.9, step=0.1)),
        ("model=choice(mlp,dcgan)", CategoricalDistribution(["mlp", "dcgan"])),
        ("model=mlp,dcgan", CategoricalDistribution(["mlp", "dcgan"])),
        ("penalty=glob(r*)", CategoricalDistribution(["r1", "r1_r2", "r1_r2_fd"])),
        ("model.generator.widths=choice([64],[64,128])", CategoricalDistribution(["[64]", "[64,128]"])),
        ("conditional=choice(true,false)", CategoricalDistribution(["true", "false"])),
        ("+mine=choice(a,b)", CategoricalDistribution(["a", "b"])),
    ],
)
def test_ranges(word: str, distribution: object) -> None:
    (parameter,) = parse_space([word]).parameters
    assert parameter.distribution == distribution
    assert parameter.word("1") == f"{word.partition('=')[0]}=1"


def test_a_word_with_one_value_holds_for_all_trials() -> None:
    space = parse_space(["lr=log(1e-5,1e-2)", "steps=100", "model=dcgan", "model.generator.widths=[8]", "seed=3"])
    assert space.constants == ("steps=100", "model=dcgan", "model.generator.widths=[8]", "seed=3")
    assert space.words({"lr": 1e-3}) == [*space.constants, "lr=0.001"]


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("lr=range(5,5)", "is empty"),
        ("lr=interval(2,1)", "is empty"),
        ("lr=choice()", "is empty"),
        ("model=glob(x*)", "is empty"),
        ("lr=interval(1,1)", "holds a single value"),
        ("lr=range(1,2)", "holds a single value; write lr=1"),
        ("model=choice(mlp)", "holds a single value; write model=mlp"),
        ("lr=log(0,1)", "must begin above 0"),
        ("lr=interval(nan,1)", "is empty"),
        ("lr=range(0,1,1e-6)", "more than 1000 values"),
        ("lr=log(1e-5,1e-2", "can't be read"),
        ("lr=lgo(1e-5,1e-2)", "Unknown function 'lgo'"),
        ("lr=log(1)", "missing a required argument"),
        ("lr=log(1,2),3", "can't be read"),
        ("lr=tag(coarse,interval(1,2))", "the only tag is log"),
        ("lr", "must be written key=value"),
        ("seed=range(0,5)", "--seeds 5 trains each configuration with five seeds"),
        ("seed=1,2", "a seed is a repeat"),
        ("dataset=mnist,digits", "scores on different data"),
        ("dataset.resize=choice(8,16)", "scores on different data"),
        ("best_metric=choice(fid,kid)", "--metric names it"),
        ("evaluate_count=range(100,300,100)", "different numbers of samples"),
        ("hydra.run.dir=a", "belongs to Hydra"),
        ("hydra/launcher=joblib", "belongs to Hydra"),
    ],
)
def test_refused_in_one_sentence(word: str, sentence: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_space([word])
    assert str(refused.value).startswith(word) and sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_key_is_given_once() -> None:
    with pytest.raises(UserError, match="lr is given twice"):
        parse_space(["lr=log(1e-5,1e-2)", "lr=1e-3"])
