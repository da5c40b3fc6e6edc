"""The deep belief network as a scikit-learn regressor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, check_is_fitted, validate_data

from zoo.errors import ZooError
from zoo.learning.feature_selection import Selection, select_features
from zoo.learning.splits import Use
from zoo.progress import track
from zoo_dbn import scaling
from zoo_dbn.members import Kind, kinds_of, mean_course, side_by_side
from zoo_dbn.network import FineTuning, Network, Sample, fine_tune, initial_network
from zoo_dbn.onnx import build_model
from zoo_dbn.parameters import ParameterError, check_parameters
from zoo_dbn.pretraining import Pretraining, pretrain
from zoo_dbn.rbm import ContrastiveDivergence
from zoo_dbn.rows import Floats, Rows, hold_out, merge_equal_rows
from zoo_dbn.threads import threads_for

if TYPE_CHECKING:
    import onnx

LEAST_EPOCHS = 12
"""With epochs `auto`, a large table is gone through this often."""
LEAST_STEPS = (100, 500)
"""With epochs `auto`, a small table of n rows is gone through until n batches have been learnt, within these limits.

Measured on held-out rows of real tables: of 113 rows, 100 to 150 steps are best and 500 lose .06 in R2; of 400 rows,
250 to 500 are best.
"""
MANY_WEIGHTS = 100
"""Weights a row from which on `notes_` says so."""


class DeepBeliefNetwork(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Sigmoid layers, pre-trained as restricted Boltzmann machines or not, under a linear head.

    The first eight parameters are those of Cai et al. 2022, Table 4. Equal rows are merged and their weights added
    before training, so that weights count like repetitions and the order of rows has no effect.

    Parameters
    ----------
    hidden_layers_structure : units in each hidden layer
    cd_k : Gibbs steps of contrastive divergence
    RBM_epochs : passes of pre-training a layer; `auto` as for BP_epochs
    RBM_learning_rate : for binary visible units; a first layer of Gaussian ones takes a tenth
    BP_epochs : passes of back-propagation; `auto` is 12, or more on small tables (`LEAST_STEPS`)
    BP_learning_rate : where the schedule begins
    batch_size : rows a step, or all if there are fewer; what is left of an epoch is dealt anew in the next
    dropout : share of hidden units left out in a training step
    pretrain : pre-train the layers as RBMs
    visible : visible units of the first RBM, `binary` (inputs coded to [0, 1]) or `gaussian`
    input_scaling : `minmax`, `zscore`, `quantile` (to normal scores), `bins`, or several joined with `+`; of a list
        each member takes one, in turn. With `levels` each value of a predictor gets a code where screening finds gain
    target_scaling : `zscore` or `minmax`
    momentum : of the RBMs and of stochastic gradient descent
    RBM_weight_decay, weight_decay : L2 in pre-training and back-propagation; on weights, not on biases
    optimizer : `sgd` or `adamw`
    schedule : learning rate `constant`, or `cosine` down to 1 %
    smooth_l1_beta : where Smooth L1 turns from square to absolute, in units of the scaled target
    early_stopping : stop when the held-out loss has not improved for `patience` epochs, and go back to the best
    validation_share : rows held out, whole groups at a time: by early stopping from everything; else from
        pre-training alone, where they measure the free-energy gap
    patience : epochs
    n_members : networks from different random numbers, averaged
    input_noise : standard deviation of noise on the coded inputs in back-propagation; `auto` is .1, and .3 with bins
    screening : leave out predictors that only name the places of training, and find those of which single values
        tell (`zoo.learning.feature_selection`); without groups all are kept
    use : where the model will be asked: `space`, `time` or `both`, new places, other times or both
    device : `cpu`, `cuda` or `auto`
    random_state : seed; on one machine's CPU the same seed gives the same bits
    verbose : show progress

    Attributes
    ----------
    history_ : `RBM` (a layer: reconstruction_error and free_energy_gap by epoch), `training_loss`,
        `validation_loss` by epoch, `best_epoch`
    notes_ : remarks for the user, sentences
    n_parameters_ : weights and biases of one member, the largest
    kept_, levels_ : predictors that the network looks at, and those of which each value has a code, (k,)
    """

    def __init__(
        self,
        hidden_layers_structure: Sequence[int] = (200, 200),
        cd_k: int = 1,
        RBM_epochs: int | Literal["auto"] = "auto",
        RBM_learning_rate: float = 0.01,
        BP_epochs: int | Literal["auto"] = "auto",
        BP_learning_rate: float = 0.003,
        batch_size: int = 128,
        dropout: float = 0.1,
        pretrain: bool = False,
        visible: Literal["binary", "gaussian"] = "gaussian",
        input_scaling: str | Sequence[str] = ("quantile+zscore+levels", "quantile+zscore+bins+levels"),
        target_scaling: Literal["zscore", "minmax"] = "zscore",
        momentum: float = 0.9,
        RBM_weight_decay: float = 0.0001,
        weight_decay: float = 0.1,
        optimizer: Literal["sgd", "adamw"] = "adamw",
        schedule: Literal["constant", "cosine"] = "cosine",
        smooth_l1_beta: float = 1.0,
        early_stopping: bool = False,
        validation_share: float = 0.1,
        patience: int = 50,
        n_members: int = 4,
        input_noise: float | Literal["auto"] = "auto",
        screening: bool = True,
        use: Use = "space",
        device: Literal["auto", "cpu", "cuda"] = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.hidden_layers_structure = hidden_layers_structure
        self.cd_k = cd_k
        self.RBM_epochs = RBM_epochs
        self.RBM_learning_rate = RBM_learning_rate
        self.BP_epochs = BP_epochs
        self.BP_learning_rate = BP_learning_rate
        self.batch_size = batch_size
        self.dropout = dropout
        self.pretrain = pretrain
        self.visible = visible
        self.input_scaling = input_scaling
        self.target_scaling = target_scaling
        self.momentum = momentum
        self.RBM_weight_decay = RBM_weight_decay
        self.weight_decay = weight_decay
        self.optimizer = optimizer
        self.schedule = schedule
        self.smooth_l1_beta = smooth_l1_beta
        self.early_stopping = early_stopping
        self.validation_share = validation_share
        self.patience = patience
        self.n_members = n_members
        self.input_noise = input_noise
        self.screening = screening
        self.use = use
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        groups: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        *,
        places: npt.ArrayLike | None = None,
        times: npt.ArrayLike | None = None,
    ) -> DeepBeliefNetwork:
        """Train on predictors X (n, k) in their own units and y (n,), m3 m-3.

        Parameters
        ----------
        X, y : predictors and target
        groups : (n,) what screening and early stopping keep together, for example blocks of ground
        sample_weight : (n,)
        places : (n,) stations or pixels; where a predictor never changes it may only name them. The groups without it
        times : (n,) needed for use `both`; for `time` the screening needs them

        Raises
        ------
        ParameterError
            If a parameter is out of its limits.
        ZooError
            If training diverges.
        """
        check_parameters(self.get_params())
        given = self._given(X, y, groups, sample_weight)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        selection = self._select(given, places, times, seed)
        self.kept_, self.levels_ = selection.kept, selection.levels
        rows = merge_equal_rows(*given)
        generator = torch.Generator(_device(self.device)).manual_seed(seed)
        apart = self._held_out(rows, np.random.default_rng(seed))
        learnt = rows.take(~apart) if self.early_stopping else rows
        kinds = kinds_of(self.input_scaling, self.input_noise, self.n_members)
        codes_of = self._fit_scaling(learnt, kinds, selection)
        networks = [
            initial_network(len(codes), self.hidden_layers_structure, len(kind.members), generator)
            for kind, codes in zip(kinds, codes_of, strict=True)
        ]
        self.n_parameters_ = max(network.parameters_of_a_member() for network in networks)
        step = self.batch_size * self.n_parameters_
        with torch.no_grad(), threads_for(step):
            courses = [
                self._train(network, kind, codes, rows, learnt, apart, generator)
                for network, kind, codes in zip(networks, kinds, codes_of, strict=True)
            ]
        self._keep(side_by_side(networks, kinds, codes_of, len(self._coding.offset)))
        self.history_ = mean_course(courses)
        self.notes_ = list(self._remarks(learnt, selection))
        return self

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Soil moisture for X (n, k): the members' mean, (n,), m3 m-3."""
        return np.asarray(self.predict_members(X).mean(axis=0))

    def predict_members(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return each member's soil moisture, (m, n): their spread tells how far training determines the answer.

        The float32 network is evaluated in double precision: a row's answer is the same whatever rows are beside it.
        """
        check_is_fitted(self, "n_parameters_")
        checked = validate_data(self, X, dtype=np.float32, reset=False)
        device = _device(self.device)
        codes = torch.as_tensor(self._coding.encode(checked), device=device)
        with torch.no_grad():
            answers = self._network(device).outputs(codes).cpu().numpy()
        return np.asarray(answers * float(self._target[1]) + float(self._target[0]))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Everything learnt, as arrays: the coding, weights and biases a layer, target offset and scale."""
        check_is_fitted(self, "n_parameters_")
        return {**scaling.as_arrays(self._coding), **self._layers, "target": self._target}

    @staticmethod
    def to_onnx(state: Mapping[str, npt.NDArray[Any]]) -> onnx.ModelProto:
        """Build the graph from `state()`: input `X` float32 (n, k), output `y` float32 (n, 1), opset 17."""
        return build_model(state)

    def _given(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        groups: npt.ArrayLike | None,
        sample_weight: npt.ArrayLike | None,
    ) -> tuple[Floats, Floats, npt.NDArray[Any] | None, Floats]:
        """Check what was given."""
        checked, target = validate_data(self, X, y, dtype=np.float32, y_numeric=True, ensure_min_samples=2)
        weight = _check_sample_weight(sample_weight, checked, dtype=np.float64, ensure_non_negative=True)
        if not weight.any():
            msg = "every sample_weight is zero; give at least one row a weight above 0"
            raise ParameterError(msg)
        labels = None if groups is None else np.asarray(groups)
        check_consistent_length(checked, labels)
        return checked, np.asarray(target, float), labels, weight

    def _select(
        self,
        given: tuple[Floats, Floats, npt.NDArray[Any] | None, Floats],
        places: npt.ArrayLike | None,
        times: npt.ArrayLike | None,
        seed: int,
    ) -> Selection:
        """Screen the predictors on the rows that have a weight; without groups all are kept."""
        X, y, groups, weight = given
        if not self.screening or groups is None:
            return Selection(np.ones(X.shape[1], bool), np.zeros(X.shape[1], bool), {})
        check_consistent_length(X, places, times)
        used = weight > 0
        place, time = (None if labels is None else np.asarray(labels)[used] for labels in (places, times))
        return select_features(X[used], y[used], groups[used], places=place, times=time, use=self.use, seed=seed)

    def _held_out(self, rows: Rows, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
        if self.validation_share and (self.early_stopping or self.pretrain):
            return hold_out(rows.group, self.validation_share, rng)
        return np.zeros(len(rows.y), bool)

    def _fit_scaling(self, rows: Rows, kinds: Sequence[Kind], selection: Selection) -> list[npt.NDArray[np.intp]]:
        """Learn coding and target scale; return which codes each kind of member sees."""
        scalings = [kind.scaling for kind in kinds]
        self._coding, codes_of = scaling.fit_codings(rows.X, rows.weight, scalings, selection)
        self._constant = scaling.constant_columns(rows.X)
        if self.target_scaling == "zscore":
            offset = np.average(rows.y, weights=rows.weight)
            scale = np.sqrt(np.average((rows.y - offset) ** 2, weights=rows.weight))
        else:
            offset, scale = rows.y.min(), np.ptp(rows.y)
        self._target = np.array([offset, scale if scale > 0 else 1.0], np.float32)
        return codes_of

    def _train(
        self,
        network: Network,
        kind: Kind,
        codes: npt.NDArray[np.intp],
        rows: Rows,
        learnt: Rows,
        apart: npt.NDArray[np.bool_],
        generator: torch.Generator,
    ) -> dict[str, Any]:
        """Train the members of one kind, in place, on the codes that they see."""
        layers = self._pretrain(network, codes, rows, apart, generator) if self.pretrain else []
        held_out = rows.take(apart) if self.early_stopping else None
        return {"RBM": layers, **self._fine_tune(network, kind, codes, learnt, held_out, generator)}

    def _pretrain(
        self,
        network: Network,
        codes: npt.NDArray[np.intp],
        rows: Rows,
        apart: npt.NDArray[np.bool_],
        generator: torch.Generator,
    ) -> list[dict[str, list[float]]]:
        seen = rows.take(~apart)
        n_epochs = self._epochs(self.RBM_epochs, len(seen.y))
        how = Pretraining(
            ContrastiveDivergence(
                self.cd_k, self.RBM_learning_rate, self.momentum, self.RBM_weight_decay, self.batch_size
            ),
            gaussian=self.visible == "gaussian",
            epochs=lambda layer: self._counted(n_epochs, f"RBM {layer}"),
        )
        held_out = self._codes(rows.X[apart], codes, generator.device) if apart.any() else None
        weight = torch.as_tensor(seen.weight, dtype=torch.float32, device=generator.device)
        return pretrain(network, self._codes(seen.X, codes, generator.device), weight, held_out, how, generator)

    def _fine_tune(
        self,
        network: Network,
        kind: Kind,
        codes: npt.NDArray[np.intp],
        rows: Rows,
        held_out: Rows | None,
        generator: torch.Generator,
    ) -> dict[str, Any]:
        how = FineTuning(
            learning_rate=self.BP_learning_rate,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            schedule=self.schedule,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            smooth_l1_beta=self.smooth_l1_beta,
            dropout=self.dropout,
            input_noise=kind.noise,
            patience=self.patience,
        )
        n_epochs = self._epochs(self.BP_epochs, len(rows.y))
        apart = self._sample(held_out, codes, generator.device) if held_out else None
        sample = self._sample(rows, codes, generator.device)
        course = fine_tune(
            network, sample, apart, how, self._counted(n_epochs, "back-propagation"), n_epochs, generator
        )
        return {
            "training_loss": course.training_loss,
            "validation_loss": course.validation_loss,
            "best_epoch": course.best_epoch,
        }

    def _epochs(self, wanted: int | Literal["auto"], n: int) -> int:
        if wanted != "auto":
            return wanted
        batches = max(1, n // self.batch_size)
        steps = min(max(n, LEAST_STEPS[0]), LEAST_STEPS[1])
        return max(LEAST_EPOCHS, -(-steps // batches))

    def _counted(self, n_epochs: int, what: str) -> Iterable[int]:
        return track(range(n_epochs), what) if self.verbose else range(n_epochs)

    def _codes(self, X: Floats, codes: npt.NDArray[np.intp], device: torch.device) -> torch.Tensor:
        return torch.as_tensor(self._coding.encode(X)[:, codes], dtype=torch.float32, device=device)

    def _sample(self, rows: Rows, codes: npt.NDArray[np.intp], device: torch.device) -> Sample:
        target = (rows.y - float(self._target[0])) / float(self._target[1])
        scaled, weight = (torch.as_tensor(a, dtype=torch.float32, device=device) for a in (target, rows.weight))
        return Sample(self._codes(rows.X, codes, device), scaled, weight)

    def _keep(self, network: Network) -> None:
        """Take the network over as arrays."""
        pairs = zip(network.weights, network.biases, strict=True)
        self._layers: dict[str, npt.NDArray[np.float32]] = {}
        for number, (weight, bias) in enumerate(pairs):
            self._layers[f"weight/{number}"] = weight.cpu().numpy()
            self._layers[f"bias/{number}"] = bias.cpu().numpy()
        if not all(np.isfinite(array).all() for array in self._layers.values()):
            msg = (
                f"Training diverged at BP_learning_rate {self.BP_learning_rate:g} and RBM_learning_rate "
                f"{self.RBM_learning_rate:g}; give smaller ones"
            )
            raise ZooError(msg)

    def _network(self, device: torch.device) -> Network:
        """Return the network in double precision."""
        count = len(self._layers) // 2
        weights, biases = (
            [torch.as_tensor(self._layers[f"{kind}/{number}"], device=device) for number in range(count)]
            for kind in ("weight", "bias")
        )
        return Network(weights, biases).to(torch.float64)

    def _remarks(self, rows: Rows, selection: Selection) -> Iterable[str]:
        n = len(rows.y)
        if self.n_parameters_ > MANY_WEIGHTS * n:
            yield (
                f"{self.n_parameters_:,} weights learnt from {n:,} rows: judge the model by held-out blocks, "
                "never by the rows it has seen"
            )
        for column in np.flatnonzero(~selection.kept):
            yield f"left out for use in {self.use}: column {column}, {selection.reasons[int(column)]}"
        if self._constant:
            yield f"predictors that never change and say nothing: columns {', '.join(map(str, self._constant))}"
        answers = self.predict(rows.X)
        if np.ptp(rows.y) > 0 and np.ptp(answers) < 0.01 * np.ptp(rows.y):
            yield "the network answers almost the same everywhere: training has failed, lower BP_learning_rate"


def _device(name: str) -> torch.device:
    """Return the device; `auto` takes CUDA where there is one."""
    if name == "cuda" and not torch.cuda.is_available():
        msg = "device = 'cuda', but torch sees no CUDA device here; give cpu or auto"
        raise ParameterError(msg)
    cuda = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if cuda else "cpu")
