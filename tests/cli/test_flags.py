import dataclasses
import re

import pytest
from absl import flags as absl_flags

from tf_style.cli import flags
from tf_style.errors import UserError
from tf_style.export.config import ExportConfig
from tf_style.gatys.config import PRESETS, GatysConfig
from tf_style.inference.config import StylizeConfig
from tf_style.option_groups import by_group
from tf_style.training.config import ConditionalConfig, PredictedConfig, TrainConfig

CONFIGS = [TrainConfig, ConditionalConfig, PredictedConfig, StylizeConfig, GatysConfig,
           ExportConfig]  # fmt: skip
twice = pytest.mark.filterwarnings("ignore:.* is given twice or more")
# One value for each field, as typed and as meant; none is the default.
TYPED = {
    str: ("a-b_c/--d=e.jpg", "a-b_c/--d=e.jpg"),
    int: ("77", 77),
    float: ("0.125", 0.125),
    bool: ("true", True),
    tuple[str, ...]: ("relu1_1, relu2_1", ("relu1_1", "relu2_1")),
    tuple[float, ...]: ("3,0.5", (3.0, 0.5)),
    tuple[int, ...]: ("3,5", (3, 5)),
}
FIELDS = [
    pytest.param(config, field, id=f"{config.__name__}.{field.name}")
    for config in CONFIGS
    for field in dataclasses.fields(config)
    if (config, field.name) != (PredictedConfig, "add_style")  # Refused there.
]


def train(*words):
    return flags.parse(TrainConfig, ["train.py", *words])


def stylize(*words):
    return flags.parse(StylizeConfig, ["stylize.py", *words])


def gatys(*words):
    return flags.parse(GatysConfig, ["stylize.py", *words])


# Values that are checked for more than their type.
MEANT = {
    "contract": ("3,5, 7", (3, 5, 7)),
    "progress_gif": ("a/b-c.gif", "a/b-c.gif"),
    "style_grid": ("a,b", ("a", "b")),
    "style_loss": ("linear, moments:2", ("linear", "moments:2")),
    "animation": ("a/b-c.gif", "a/b-c.gif"),
    "scales": ("7", 7),
    "warmup_sizes": ("32, 64", (32, 64)),
}


def typed(field):
    if field.name in MEANT:
        return MEANT[field.name]
    choices = field.metadata["choices"]
    return (choices[-1], choices[-1]) if choices else TYPED[field.type]


@pytest.mark.parametrize("config", CONFIGS)
def test_defaults_are_the_dataclass(config):
    assert flags.parse(config, ["x"]) == config()


@twice
@pytest.mark.parametrize("config, field", FIELDS)
def test_every_flag_in_every_spelling(config, field):
    text, value = typed(field)
    # What some of them demand besides.
    others = {"resize": ["--crop-size=16"], "backbone": ["--backbone=mobilenet_v2"]}
    others |= {"val": ["--val-content-path=a", "--val-style-path=b"]}
    names = {field.name for field in dataclasses.fields(config)}
    others = [
        word
        for word in others.get(field.name.split("_")[0], [])
        if word.partition("=")[0][2:].replace("-", "_") in names
    ]
    if field.name.endswith("_mask"):
        others = ["--content-mask=a,b", "--style-mask=c,d"]
    for name in {field.name, field.name.replace("_", "-")}:
        for words in ([f"--{name}={text}"], [f"--{name}", text], [f"-{name}={text}"]):
            if field.type is bool and len(words) == 2:
                words = [f"--{name}"]
            assert getattr(flags.parse(config, ["x", *others, *words]), field.name) == value


@twice
@pytest.mark.parametrize(
    "words, expected",
    [
        (["--overwrite"], True),
        (["--overwrite", "--nooverwrite"], False),
        (["--overwrite", "--no-overwrite"], False),
        (["--overwrite=true"], True),
        (["--overwrite=false"], False),
    ],
)
def test_booleans(words, expected):
    assert stylize(*words).overwrite is expected
    assert train(*words).overwrite is expected


@twice
def test_booleans_of_several_words():
    for word in ("--noskip_existing", "--noskip-existing", "--no-skip-existing"):
        assert stylize("--skip-existing", word).skip_existing is False


def test_tuples():
    assert stylize("--style-weights", "3").style_weights == (3.0,)
    assert stylize("--style-weights=").style_weights == ()
    assert stylize("--style-weights=none").style_weights == ()
    assert stylize("--style-weights= 1 , 2 ").style_weights == (1.0, 2.0)
    for text in ("3,,1", "3,1,", "3 1", "a"):
        with pytest.raises(UserError, match=f"--style-weights={text}: .* no comma-separated list"):
            stylize(f"--style-weights={text}")


@pytest.mark.parametrize(
    "value", ["a-b_c", "--a-b", "-a-b_c.jpg", "x=y-z", "[a-z]*.jpg", "ä-ö_ü", "a b-c"]
)
def test_values_are_untouched(value):
    assert stylize("--content-path", value).content_path == value
    assert stylize(f"--content-path={value}").content_path == value


def test_home(monkeypatch):
    # The shell leaves the ~ after = alone, and a folder named ~ is a trap to remove.
    monkeypatch.setenv("HOME", "/home/someone")
    assert stylize("--out-path=~/out").out_path == "/home/someone/out"
    assert stylize("--content-path=a~/b").content_path == "a~/b"
    masks = gatys("--content-mask=~/a.png,b~.png", "--style-mask", "~/a.png,/~/b.png")
    assert masks.content_mask == ("/home/someone/a.png", "b~.png")
    assert masks.style_mask == ("/home/someone/a.png", "/~/b.png")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_the_default_of_what_is_not_given(preset):
    config = gatys(f"--preset={preset}")
    assert config == GatysConfig(**PRESETS[preset] | {"preset": preset})
    assert gatys("--preset=default") == GatysConfig() == gatys()


@twice
@pytest.mark.parametrize("words", [["--preset=jcjohnson"], []])
def test_a_flag_wins_over_the_preset_wherever_it_stands(words):
    preset, given = ["--preset", "notebook"], ["--pooling=avg", "--history", "20"]
    for line in (preset + given, given + preset, words + given + preset):
        config = gatys(*line)
        # Both are the defaults without a preset: given counts, not different.
        assert (config.preset, config.pooling, config.history) == ("notebook", "avg", 20)
        assert (config.weights_for, config.padding, config.scales) == ("raw", "zero", 1)


def test_layers_with_weights():
    config = gatys("--style-layers=relu1_1:2, relu2_1", "--style-loss", "gram:2,moments:1")
    assert config.style_layers == ("relu1_1:2", "relu2_1")
    assert config.style_loss == ("gram:2", "moments:1")
    with pytest.raises(UserError, match="`style_loss` must be one of gram, .* Received: 'grma'"):
        gatys("--style-loss=grma")


def test_the_last_of_two_counts_and_is_named():
    with pytest.warns(UserWarning, match="^--max-iter is given twice or more; .* counts: 4$"):
        assert train("--max-iter=3", "--max_iter=4").max_iter == 4
    with pytest.warns(UserWarning, match="^--content-path is given .*: b.jpg$"):
        assert stylize("--content-path", "a.jpg", "--content-path", "b.jpg").content_path == "b.jpg"
    with pytest.warns(UserWarning, match="^--overwrite is given .* counts: False"):
        assert not stylize("--overwrite", "--no-overwrite").overwrite


def test_a_pattern_that_the_shell_has_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.jpg").touch()
    words = ["--content-path", "a.jpg", "b.jpg", "--overwrite", "--style-path", "c.jpg"]
    config = stylize(*words, "d.jpg", "--alpha=0.5")
    assert config.content_path == ("a.jpg", "b.jpg") and config.style_path == ("c.jpg", "d.jpg")
    assert config.overwrite and config.alpha == 0.5
    assert train("--content-path=a", "b", "--style-path", "c").content_path == ("a", "b")


def test_two_words_are_photo_and_painting(capsys):
    config = stylize("a.jpg", "b.jpg", "--alpha=0.5")
    assert (config.content_path, config.style_path, config.alpha) == ("a.jpg", "b.jpg", 0.5)
    assert capsys.readouterr().err == "stylize.py: the photo is a.jpg, the painting is b.jpg\n"
    assert gatys("--seed=1", "a.jpg", "b.jpg").style_path == "b.jpg"


@pytest.mark.parametrize(
    "style", ["--style=wave", "--style-path=art", "--style-grid=a,b", "--all-styles"]
)
def test_words_beside_a_style_are_photos(style, capsys):
    assert stylize("a.jpg", style).content_path == "a.jpg"
    assert capsys.readouterr().err == "stylize.py: photos: a.jpg\n"
    assert stylize("a.jpg", "b.jpg", style, "--crop").content_path == ("a.jpg", "b.jpg")


@pytest.mark.parametrize(
    "words, message",
    [
        (["a.jpg"], "Give a photo and a painting, or any number of photos and --style .*: 'a.jpg'"),
        (["a", "b", "c"], "Give a photo and a painting, .* Received: 'a' 'b' 'c'"),
        (["a", "--content-path=b"], "Unexpected argument 'a': give pictures by --content"),
    ],
)
def test_words_that_mean_nothing(words, message):
    with pytest.raises(UserError, match=message):
        stylize(*words)
    with pytest.raises(UserError, match="Unexpected argument 'a"):
        train(*words)


def test_a_file_of_flags_takes_both_spellings(tmp_path):
    (tmp_path / "flags").write_text("--max-iter=3\n--batch_size=2\n# a comment\n--seed\n5\n")
    config = train(f"--flagfile={tmp_path / 'flags'}", "--crop-size=32")
    assert (config.max_iter, config.batch_size, config.seed, config.crop_size) == (3, 2, 5, 32)
    with pytest.raises(UserError, match="--flagfile: .*nowhere"):
        train(f"--flagfile={tmp_path / 'nowhere'}")


@pytest.mark.parametrize(
    ("parse", "word", "meant"),
    [
        (stylize, "--image-size", "content-size"),
        (stylize, "--content", "content-path"),
        (stylize, "--style-image=a.jpg", "style-path"),
        (stylize, "--out", "out-path"),
        (gatys, "--image_size", "content-size"),
        (train, "--content", "content-path"),
        (train, "--style-dir", "style-path"),
    ],
)
def test_a_flag_of_other_programs_hints_at_ours(parse, word, meant):
    with pytest.raises(UserError, match=rf"did you mean --{meant}\?"):
        parse(word)


@pytest.mark.parametrize(
    "words, message",
    [
        (["--content-pth", "x"], r"no flag --content-pth; did you mean --content-path\? See --hel"),
        (["--style_weigths=1"], r"no flag --style_weigths; did you mean --style-weights\?"),
        (["--overwrit"], r"no flag --overwrit; did you mean --overwrite\?"),
        (["--gpu-count=2"], "no flag --gpu-count; see --help"),
        (["--alpha=strong"], "--alpha=strong: could not convert string to float.*; see --help"),
        (["--passes=1.5"], "--passes=1.5: invalid literal for int.*; see --help"),
        (["--overwrite=maybe"], "--overwrite=maybe: Non-boolean argument to boolean flag; see"),
        (["--alpha"], "Missing value for flag --alpha; see --help"),
        (["--alpha=1.5"], "`alpha` must be between 0 and 1. Received: 1.5"),
        (["--out-format=gif"], "`out_format` must be one of jpg, png, webp. Received: 'gif'"),
        (["--alpha=nan"], "`alpha` must be between 0 and 1. Received: nan"),
        (["--overwrite", "false"], "Give a photo and a painting, .* Received: 'false'"),
        (["--alpha=1", "--", "--crop"], "Give a photo and a painting, .* Received: '--crop'"),
    ],
)
def test_mistakes_are_told_in_one_sentence(words, message):
    with pytest.raises(UserError, match=message) as caught:
        stylize(*words)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("columns", ["1", "60", "300"])
def test_help(config, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    text = flags.help_text(config, "What it does.\n")
    assert text.startswith("What it does.\n\n")
    # A default is one word, to be copied.
    most = {"1": 70, "60": 70, "300": 100}[columns]
    assert all(len(x) <= (80 if "(default: " in x else most) for x in text.splitlines())
    for field in dataclasses.fields(config):
        name, about = field.name.replace("_", "-"), field.metadata
        [(default, told)] = re.findall(
            rf"^  --{name}(?:  \(default: (.+)\))?\n((?:        .+\n)+)", text, re.M
        )
        told = " ".join(told.split())
        assert " ".join(about["help"].split()) in told
        if about["choices"] and len(about["choices"]) > 1:
            assert f"One of: {', '.join(about['choices'])}." in told
        if field.type is bool:
            assert default == "" and field.default is False
        elif field.default in ("", ()):
            assert default == {"": "empty", (): "none"}[field.default]
        else:
            assert getattr(flags.parse(config, ["x", f"--{name}={default}"]), field.name) == (
                field.default
            )
    groups = [field.metadata["group"].capitalize() + ":" for field in by_group(config)]
    assert [line for line in text.splitlines() if line in groups] == list(dict.fromkeys(groups))


def test_flags_are_each_programs_own():
    before = set(absl_flags.FLAGS)
    assert train("--seed=3").seed == 3
    assert stylize("--seed=4").seed == 4
    assert train().seed == stylize().seed == 0
    assert set(absl_flags.FLAGS) == before
    assert "max_iter" not in absl_flags.FLAGS and "alpha" not in absl_flags.FLAGS
