"""The hand-made bundles that the contract suite serves: each task, each kind of feature, names of any kind."""

from bundle.manifest import Feature
from tests.hand_made_bundle import TOKENS, HandMade
from tests.hand_made_model import HandMadeModel

QUOTED = 'say "hi" \\ to\n`$.all[0]`'
"""A name with everything that JSON has to escape, and with what paths are written with."""

YOUNG_AND_OLD = ("若い", "老い")

BINARY = HandMade(
    name="odd_names",
    features=(
        Feature(name="education-num", kind="numeric", nullable=False, example=3.5, minimum=-2.0, maximum=9.5),
        Feature(
            name="年齢", kind="nominal", nullable=True, example="若い", categories=("若い", "老い"), rare=("百歳",)
        ),
        Feature(name="mean radius", kind="numeric", nullable=True, example=0.25, minimum=0.0, maximum=1.0),
        Feature(name="label", kind="ordinal", nullable=False, example="mid", categories=("low", "mid", "high")),
        Feature(name=QUOTED, kind="numeric", nullable=False, example=-1.0, minimum=-1.0, maximum=1.0),
        Feature(name="row", kind="nominal", nullable=True, example="?", categories=("?", "")),
    ),
    target="predicted case",
    classes=("no, not", "ja: ✓"),
    threshold=0.4,
    model=HandMadeModel(
        numbers=("education-num", "mean radius", QUOTED),
        categories=("年齢", "label", "row"),
        texts={"若い": 0.5, "老い": -0.5, "百歳": 3.0, "low": -1.0, "mid": 0.0, "high": 1.0, "?": 0.25, "": -0.75},
        missing=0.125,
        unseen=-2.0,
        gap=-4.0,
        weights=((-0.1, 0.1), (0.3, -0.3), (0.0, 0.7)),
        text_weights=(0.2, 0.6),
    ),
    rows=(
        {"education-num": 3, "年齢": "若い", "mean radius": 0.5, "label": "low", QUOTED: 1.0, "row": "?"},
        {"education-num": -2.0, "年齢": "百歳", "mean radius": None, "label": "high", QUOTED: -1.0, "row": ""},
        {"education-num": 9.5, "年齢": None, "mean radius": 1.0, "label": "other", QUOTED: 0.0, "row": None},
        {"education-num": 0, "年齢": TOKENS.missing, "mean radius": 0, "label": TOKENS.unseen, QUOTED: 0.5, "row": "?"},
    ),
)

THREE_CLASSES = HandMade(
    name="three_classes",
    features=(
        Feature(name="prediction", kind="numeric", nullable=False, example=1.0, minimum=0.0, maximum=2.0),
        Feature(name="probabilities", kind="numeric", nullable=True, example=2.0, minimum=0.0, maximum=2.0),
    ),
    target="grade",
    classes=(10, -20, 30),
    model=HandMadeModel(
        numbers=("prediction", "probabilities"),
        categories=(),
        texts={},
        missing=0.0,
        unseen=0.0,
        gap=0.5,
        weights=((1.0, 0.0, -1.0), (-0.5, 0.25, 0.75)),
        text_weights=(0.0, 0.0, 0.0),
    ),
    rows=(
        {"prediction": 2, "probabilities": 0},
        {"prediction": 0, "probabilities": 1.5},
        {"prediction": 0.5, "probabilities": 0.75},
        {"prediction": 1.25, "probabilities": None},
    ),
)

REGRESSION = HandMade(
    name="all_kinds",
    features=(
        Feature(name="is ripe", kind="boolean", nullable=False, example=True),
        Feature(name="is bio", kind="boolean", nullable=True, example=None),
        Feature(name="picked", kind="date", nullable=False, example="2024-02-29", minimum=0.0, maximum=19782.0),
        Feature(name="sold", kind="date", nullable=True, example="1970-01-01", minimum=0.0, maximum=19782.0),
        Feature(name="count", kind="numeric", integer=True, nullable=False, example=3, minimum=0.0, maximum=9.0),
        Feature(name="worms", kind="numeric", integer=True, nullable=True, example=0, minimum=0.0, maximum=9.0),
        Feature(name="remark", kind="nominal", open=True, nullable=False, example="anything"),
    ),
    target="price",
    model=HandMadeModel(
        numbers=("is ripe", "is bio", "picked", "sold", "count", "worms"),
        categories=("remark",),
        texts={"good": 10.0, "bad": -10.0},
        missing=0.0,
        unseen=1.0,
        gap=-3.0,
        weights=((5.0,), (7.0,), (0.001,), (0.002,), (2.0,), (-1.5,)),
        text_weights=(1.0,),
    ),
    rows=(
        {"is ripe": True, "is bio": False, "picked": "2024-02-29", "sold": "2024-03-01", "count": 3, "worms": 0,
         "remark": "good"},
        {"is ripe": False, "is bio": None, "picked": "0001-01-01", "sold": None, "count": 0.0, "worms": None,
         "remark": "bad"},
        {"is ripe": True, "is bio": True, "picked": "9999-12-31", "sold": "1969-12-31", "count": -4, "worms": 12,
         "remark": "never heard of"},
    ),
)  # fmt: skip

MODELS = (BINARY, THREE_CLASSES, REGRESSION)
