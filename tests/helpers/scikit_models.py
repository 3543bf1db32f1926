"""Models of scikit-learn, and the ONNX files that their converter writes of them."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from skl2onnx import convert_sklearn, to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

COLOURS = np.array(["blue", "green", "red"])
"""The classes, in scikit-learn's order."""

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(90, 4)).astype(np.float32)
PLACES = np.argmax(ROWS[:, :3] + 0.3 * RANDOM.normal(size=(90, 3)), axis=1)

CLASSIFIERS: dict[str, Any] = {
    "logistic": LogisticRegression(),
    "forest": RandomForestClassifier(5, random_state=0),
    "tree": DecisionTreeClassifier(max_depth=3, random_state=0),
    "boosted": GradientBoostingClassifier(n_estimators=5, random_state=0),
    "bayes": GaussianNB(),
    "neighbours": KNeighborsClassifier(),
    "network": MLPClassifier((4,), solver="lbfgs", max_iter=2000, random_state=0),
    "vectors": CalibratedClassifierCV(SVC(random_state=0), ensemble=False, cv=2),
    "stacked": StackingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], cv=2),
    "calibrated": CalibratedClassifierCV(GaussianNB(), cv=2),
    "each": OneVsRestClassifier(LogisticRegression()),
    "adapted": AdaBoostClassifier(n_estimators=3, random_state=0),
}
"""Classifiers of every family whose converter writes the class names in another place."""


@cache
def classifier(name: str, *, is_binary: bool = False) -> Any:
    """A classifier of colours, or of zero and one."""
    targets = (PLACES > 0).astype(int) if is_binary else COLOURS[PLACES]
    return CLASSIFIERS[name].__class__(**CLASSIFIERS[name].get_params(deep=False)).fit(ROWS, targets)


def converted(model: BaseEstimator, zipmap: object = True) -> onnx.ModelProto:
    """The file of a classifier; with a ZipMap, as its converter writes it by default."""
    file: onnx.ModelProto = to_onnx(model, ROWS[:1], options={"zipmap": zipmap})
    return file


def plain(model: BaseEstimator) -> onnx.ModelProto:
    """The file of a model that is no classifier."""
    file: onnx.ModelProto = to_onnx(model, ROWS[:1], target_opset={"": 18, "ai.onnx.ml": 3})
    return file


@cache
def regressor() -> Any:
    return RandomForestRegressor(5, random_state=0).fit(ROWS, ROWS[:, 0] * 3 + ROWS[:, 1])


@cache
def two_numbers() -> Any:
    return LinearRegression().fit(ROWS, ROWS[:, :2])


@cache
def clusters() -> Any:
    return KMeans(3, n_init=1, random_state=0).fit(ROWS)


@cache
def outliers() -> Any:
    return IsolationForest(n_estimators=5, random_state=0).fit(ROWS)


PASSENGERS: list[dict[str, Any]] = [
    {"age": 22.0, "class": 3, "sex": "male", "port": "S"},
    {"age": 38.5, "class": 1, "sex": "female", "port": "C"},
    {"age": 4.0, "class": 2, "sex": "female", "port": "Q"},
    {"age": 71.0, "class": 1, "sex": "male", "port": "S"},
]
PASSENGER_TYPES = {"age": FloatTensorType, "class": Int64TensorType, "sex": StringTensorType, "port": StringTensorType}


def passenger_rows() -> npt.NDArray[Any]:
    return np.array([list(row.values()) for row in PASSENGERS], object)


@cache
def passengers() -> Any:
    """A pipeline with columns of three datatypes, whose encoder refuses values that it does not know."""
    columns = ColumnTransformer([("age", StandardScaler(), [0]), ("others", OneHotEncoder(), [1, 2, 3])])
    return make_pipeline(columns, LogisticRegression()).fit(passenger_rows(), ["no", "yes", "yes", "no"])


def passengers_file() -> onnx.ModelProto:
    """The pipeline's file with an input for each column. Its converter takes columns by their place."""
    types = [(name, kind([None, 1])) for name, kind in PASSENGER_TYPES.items()]
    file: onnx.ModelProto = convert_sklearn(passengers(), initial_types=types)
    return file


SENTENCES = ["win free money now", "free prize", "lunch at noon", "see you tomorrow"]


@cache
def texts() -> Any:
    return make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(SENTENCES, ["spam", "spam", "ham", "ham"])


def texts_file() -> onnx.ModelProto:
    file: onnx.ModelProto = convert_sklearn(texts(), initial_types=[("text", StringTensorType([None, 1]))])
    return file


def words_file() -> onnx.ModelProto:
    """A classifier of one column of words, whose encoder refuses others."""
    model = make_pipeline(OneHotEncoder(), LogisticRegression())
    model.fit(np.array([["yes"], ["no"]] * 2, object), ["spam", "ham"] * 2)
    file: onnx.ModelProto = convert_sklearn(model, initial_types=[("word", StringTensorType([None, 1]))])
    return file
