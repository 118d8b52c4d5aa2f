"""The linear probe against plain scikit-learn, and the traps of the protocol."""

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.svm import SVC

from adacross.encoders import DGCNN, PointNet
from adacross.encoders.frozen import encode, frozen
from adacross.evaluation.linear import Score
from adacross.features.svm import C_GRID, svm


def blobs(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 5
    centres = np.random.default_rng(99).normal(size=(5, 12))
    return (centres[labels] + 1.2 * rng.normal(size=(count, 12))).astype(np.float32), labels


def test_predictions_are_those_of_plain_svc_with_grid_search():
    train, labels = blobs(200, 0)
    test, _ = blobs(80, 1)
    predicted, penalty = svm(train, labels, test, folds=4, seed=3)
    folds = StratifiedKFold(4, shuffle=True, random_state=3)
    grid = {"C": [c / train.astype(np.float64).var(axis=0).mean() for c in C_GRID]}
    search = GridSearchCV(SVC(kernel="linear"), grid, cv=folds).fit(train, labels)
    assert penalty == search.best_params_["C"]
    assert (predicted == search.predict(test)).mean() > 0.98  # libsvm's own stopping tolerance
    assert np.array_equal(predicted, SVC(kernel="linear", C=penalty).fit(train, labels).predict(test))


def test_the_unit_of_the_features_does_not_matter():
    train, labels = blobs(200, 0)
    test, _ = blobs(80, 1)
    predicted, penalty = svm(train, labels, test, 4, 3)
    small, larger_penalty = svm(train / 1024, labels, test / 1024, 4, 3)
    assert np.array_equal(predicted, small)
    assert larger_penalty == pytest.approx(penalty * 1024**2)


def test_test_labels_cannot_reach_the_choice_of_c():
    """The function has no argument for them; the same training data choose the same C whatever is tested."""
    train, labels = blobs(100, 0)
    assert svm(train, labels, blobs(10, 1)[0], 3, 0)[1] == svm(train, labels, -blobs(50, 2)[0], 3, 0)[1]


def test_score_says_mean_and_sample_deviation():
    score = Score.of([0.5, 0.6, 0.7], [1.0, 1.0, 10.0])
    assert (score.mean, score.std) == (pytest.approx(0.6), pytest.approx(0.1))
    assert str(score) == "60.0 ± 10.0 %"
    assert Score.of([0.5], [1.0]).std == 0


@pytest.mark.parametrize("encoder", [PointNet(width=32), DGCNN(k=4, width=32)], ids=["pointnet", "dgcnn"])
def test_features_do_not_depend_on_batch_or_on_the_state_the_encoder_was_left_in(encoder: torch.nn.Module):
    """In training mode a class-sorted file leaks the class through BatchNorm."""
    clouds = np.random.default_rng(0).normal(size=(10, 64, 3)).astype(np.float32)
    encoder.train()
    expected = encode(encoder, clouds, batch_size=10)
    assert encoder.training
    assert np.allclose(encode(encoder, clouds, batch_size=3), expected, atol=1e-5)
    assert np.allclose(encode(encoder, clouds[::-1].copy(), batch_size=4)[::-1], expected, atol=1e-5)
    encoder.eval()
    assert np.allclose(encode(encoder, torch.from_numpy(clouds)), expected, atol=1e-5)


def test_frozen_restores_mixed_states_after_an_error():
    module = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2))
    module[1].eval()
    with pytest.raises(RuntimeError), frozen(module):  # noqa: PT012  both lines are the point
        assert not module[0].training
        raise RuntimeError
    assert module[0].training
    assert not module[1].training
