# pyright: basic
# (scikit-learn and skops carry no complete types)
from __future__ import annotations

import csv
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from thalweg.operators.endpoints import Answer, parse_endpoint, sklearn
from thalweg.operators.endpoints.sklearn_model import SklearnModel
from thalweg.operators.endpoints.tensors import Tensor
from thalweg.runtime.context import Context
from thalweg.runtime.errors import DataError, MisconfiguredError, MissingExtra

FLOWERS = Path(__file__).resolve().parents[3] / "graphs" / "data" / "iris.csv"
TREES = ("numpy.dtype", "sklearn.tree._tree.Tree")
FIELDS = ("Sepal.Length", "Sepal.Width", "Petal.Length", "Petal.Width")


def flowers() -> tuple[list[tuple[object, ...]], list[str]]:
    with FLOWERS.open(newline="") as file:
        _, *rows = csv.reader(file)
    return [tuple(map(float, row[:4])) for row in rows], [row[4] for row in rows]


class Echo:
    """A class of the user's own, which skops does not know."""

    def __init__(self) -> None:
        self.fitted_ = True

    def predict(self, rows: Any) -> Any:
        return rows[:, 0]


def dumped(model: Any, path: Path) -> Path:
    import skops.io

    skops.io.dump(model, path)
    return path


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written here, since such a file belongs to one version of scikit-learn."""
    from sklearn.linear_model import LogisticRegression

    rows, species = flowers()
    model = LogisticRegression(C=10.0, max_iter=10_000).fit(rows, species)
    return dumped(model, tmp_path_factory.mktemp("models") / "iris.skops")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fitted on a data frame, with a column of text that is looked for by its name."""
    import pandas
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder
    from sklearn.tree import DecisionTreeClassifier

    frame = pandas.DataFrame(
        {"age": [20.0, 30.0, 40.0, 50.0], "sex": ["f", "m", "f", "m"]},
    )
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["sex"]), (SimpleImputer(), ["age"])
    )
    model = make_pipeline(columns, DecisionTreeClassifier(random_state=0))
    model.fit(frame, [0, 1, 0, 1])
    return dumped(model, tmp_path_factory.mktemp("models") / "mixed.skops")


async def ask(
    context: Context,
    fields: tuple[str, ...],
    rows: list[tuple[object, ...]],
    path: Path,
    **how: Any,
) -> Answer:
    endpoint = sklearn(path, **how)
    await endpoint.open(context)
    try:
        return await endpoint.predict(fields, rows)
    finally:
        await endpoint.close()


@pytest.mark.asyncio
async def test_the_iris_model_knows_nearly_all_flowers(context: Context, iris: Path) -> None:
    rows, species = flowers()
    answer = await ask(context, FIELDS, rows, iris)
    assert answer.fields == ("prediction", "probability")
    assert answer.model_version is None
    right = sum(row[0] == name for row, name in zip(answer.rows, species, strict=True))
    assert 0.95 * 150 <= right < 150
    classes = ["setosa", "versicolor", "virginica"]
    for name, probability in answer.rows:
        assert isinstance(name, str)
        assert isinstance(probability, list)
        assert sum(probability) == pytest.approx(1.0)
        assert classes[probability.index(max(probability))] == name


@pytest.mark.asyncio
async def test_it_tells_the_fields_that_it_takes(context: Context, iris: Path) -> None:
    endpoint = sklearn(iris)
    await endpoint.open(context)
    try:
        assert await endpoint.fields() == {"input": "FP64[4]"}
    finally:
        await endpoint.close()
    with pytest.raises(RuntimeError, match="between open and close"):
        await endpoint.fields()


@pytest.mark.asyncio
async def test_without_proba_only_the_prediction_is_asked_for(context: Context, iris: Path) -> None:
    rows, _ = flowers()
    answer = await ask(context, FIELDS, rows[:1], iris, proba=False)
    assert answer == Answer(("prediction",), [("setosa",)])


@pytest.mark.asyncio
async def test_a_model_fitted_on_a_frame_takes_fields_by_name(
    context: Context, mixed: Path
) -> None:
    rows: list[tuple[object, ...]] = [("m", 20.0), ("f", 50), ("unheard of", 35.0)]
    answer = await ask(context, ("sex", "age"), rows, mixed, trusted=TREES)
    assert [row[0] for row in answer.rows[:2]] == [1, 0]
    turned = await ask(context, ("age", "sex"), [row[::-1] for row in rows], mixed, trusted=TREES)
    assert turned == answer


@pytest.mark.asyncio
async def test_a_missing_number_is_nan_to_the_model(context: Context, mixed: Path) -> None:
    answer = await ask(context, ("sex", "age"), [("m", None), ("f", 20.0)], mixed, trusted=TREES)
    assert [row[0] for row in answer.rows] == [1, 0]


@pytest.mark.asyncio
async def test_a_regression_answers_numbers_and_takes_nan_where_it_knows_it(
    context: Context, tmp_path: Path
) -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=1)
    model.fit([[0.0], [1.0], [2.0], [float("nan")]], [0.0, 1.0, 2.0, 9.0])
    path = dumped(model, tmp_path / "m.skops")
    trusted = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
    answer = await ask(context, ("x",), [(0.0,), (None,)], path, trusted=trusted)
    assert answer.fields == ("prediction",)
    (low,), (missing,) = answer.rows
    assert isinstance(low, float)
    assert isinstance(missing, float)
    assert low < missing


@pytest.mark.asyncio
async def test_a_vectorizer_takes_a_single_field_of_text(context: Context, tmp_path: Path) -> None:
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(HashingVectorizer(n_features=64), SGDClassifier(random_state=0))
    model.fit(["good fine", "bad awful"] * 4, ["up", "down"] * 4)
    path = dumped(model, tmp_path / "text.skops")
    answer = await ask(context, ("text",), [("bad awful",), ("fine",)], path)
    assert [row[0] for row in answer.rows] == ["down", "up"]


@pytest.mark.asyncio
async def test_several_targets_are_lists(context: Context, tmp_path: Path) -> None:
    from sklearn.tree import DecisionTreeClassifier

    model = DecisionTreeClassifier().fit([[0.0], [1.0]], [[0, 1], [1, 1]])
    answer = await ask(
        context, ("x",), [(0,), (1,)], dumped(model, tmp_path / "m.skops"), trusted=TREES
    )
    assert list(answer.rows) == [([0, 1], [[1.0, 0.0], [1.0]]), ([1, 1], [[0.0, 1.0], [1.0]])]


@pytest.mark.parametrize("proba", [True, False])
def test_the_model_tells_what_it_takes_and_answers(iris: Path, proba: bool) -> None:
    model = SklearnModel(iris, proba=proba)
    assert model.inputs == (Tensor("input", "FP64", (-1, 4)),)
    outputs = (Tensor("prediction", "BYTES", (-1, 1)), Tensor("probability", "FP64", (-1, 3)))
    assert model.outputs == outputs[: 1 + proba]


def test_a_model_with_names_tells_one_input_for_each(mixed: Path) -> None:
    model = SklearnModel(mixed, trusted=TREES)
    assert [tensor.name for tensor in model.inputs] == ["age", "sex"]
    assert model.outputs[0].datatype == "INT64"


@pytest.mark.asyncio
async def test_a_field_that_differs_tells_the_nearest(context: Context, mixed: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"no feature 'aged' \(did you mean 'age'\?\)"):
        await ask(context, ("sex", "aged"), [("m", 1.0)], mixed, trusted=TREES)
    with pytest.raises(MisconfiguredError, match="also needs 'age': map a field to it"):
        await ask(context, ("sex",), [("m",)], mixed, trusted=TREES)


@pytest.mark.asyncio
async def test_a_wrong_number_of_fields_is_a_misconfiguration(context: Context, iris: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"3 fields are mapped, and the model iris\.skops"):
        await ask(context, ("a", "b", "c"), [(1, 2, 3)], iris)


@pytest.mark.asyncio
@pytest.mark.parametrize("row", [(1.0, 2.0, 3.0, "wide"), (1.0, 2.0, 3.0, None)])
async def test_rows_that_the_model_refuses_are_a_data_error(
    context: Context, iris: Path, row: tuple[object, ...]
) -> None:
    with pytest.raises(DataError, match=r"the model iris\.skops refused the rows: ValueError"):
        await ask(context, FIELDS, [row], iris)


@pytest.mark.asyncio
async def test_a_type_that_is_not_trusted_is_refused_by_name(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Echo, "__module__", "echo_model")
    monkeypatch.setitem(sys.modules, "echo_model", sys.modules[__name__])
    path = dumped(Echo(), tmp_path / "echo.skops")
    with pytest.raises(MisconfiguredError, match=r"not known to be harmless: echo_model\.Echo\."):
        await sklearn(path).open(context)
    with pytest.raises(MisconfiguredError, match=r"harmless: echo_model\.Echo\."):
        await sklearn(path, trusted=["echo_model.Other"]).open(context)
    # Trusted, it is loaded, and found to be no estimator of scikit-learn.
    with pytest.raises(MisconfiguredError, match=r"instance is not fitted|not an estimator"):
        await sklearn(path, trusted=["echo_model.Echo"]).open(context)


@pytest.mark.asyncio
async def test_as_text_nothing_is_trusted_but_what_is_named(context: Context, mixed: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"sklearn:mixed\.skops\?trusted=.*Tree"):
        await parse_endpoint(f"sklearn:{mixed}").open(context)
    named = parse_endpoint(f"sklearn:{mixed}?trusted={','.join(TREES)}")
    assert repr(named) == f"sklearn({str(mixed)!r})"
    await named.open(context)
    await named.close()
    with pytest.raises(MisconfiguredError, match=r"harmless: sklearn\.tree\._tree\.Tree\."):
        await parse_endpoint(f"sklearn:{mixed}?trusted=numpy.dtype").open(context)


@pytest.mark.parametrize(
    "options", ["", "trusted", "trusted=", "trusted=*", "trusted=Tree", "trust=a.B", "trusted=a.*",
                "trusted=a.B,", "trusted=a.B&proba=no"]
)  # fmt: skip
def test_behind_the_path_stands_nothing_else(options: str) -> None:
    with pytest.raises(ValueError, match="the full names of types that may be loaded"):
        parse_endpoint(f"sklearn:churn.skops?{options}")


def test_several_endpoints_may_trust_different_types() -> None:
    text = "sklearn:a.skops?trusted=a.A,b.B sklearn:b.skops"
    assert repr(parse_endpoint(text)) == "several([sklearn('a.skops'), sklearn('b.skops')])"


class Fatal:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("a pickle was loaded",))


@pytest.mark.asyncio
async def test_a_pickle_is_never_loaded(context: Context, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'m\.pkl' is a pickle, .* skops\.io\.dump"):
        sklearn("m.pkl")
    (tmp_path / "disguised.skops").write_bytes(pickle.dumps(Fatal()))
    with pytest.raises(MisconfiguredError, match=r"disguised\.skops is no \.skops file"):
        await sklearn(tmp_path / "disguised.skops").open(context)


@pytest.mark.asyncio
async def test_what_does_not_predict_is_told_at_the_start(context: Context, tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = dumped(StandardScaler().fit([[1.0]]), tmp_path / "scaler.skops")
    with pytest.raises(MisconfiguredError, match="holds a StandardScaler, which has no predict"):
        await sklearn(scaler).open(context)
    raw = dumped(LogisticRegression(), tmp_path / "raw.skops")
    with pytest.raises(MisconfiguredError, match="not fitted yet"):
        await sklearn(raw).open(context)
    with pytest.raises(MisconfiguredError, match=r"no model file /.*nowhere\.skops"):
        await sklearn(tmp_path / "nowhere.skops").open(context)


@pytest.mark.asyncio
async def test_a_missing_package_names_the_extra(
    context: Context, iris: Path, mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"thalweg\[sklearn\]"):
        await sklearn(mixed, trusted=TREES).open(context)
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(MissingExtra, match=r"thalweg\[sklearn\]"):
        await sklearn(iris).open(context)


def test_wrong_options_are_told_when_the_graph_is_built() -> None:
    with pytest.raises(ValueError, match="it is empty"):
        sklearn(" ")
    with pytest.raises(TypeError, match=r"say trusted=\['a\.B'\]"):
        sklearn("m.skops", trusted="a.B")
    with pytest.raises(TypeError, match=r"trusted holds names of types such as .*, not 3"):
        sklearn("m.skops", trusted=[3])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="proba is True or False, not 'yes'"):
        sklearn("m.skops", proba="yes")  # type: ignore[arg-type]
