"""Coordinates of named parameters: the maps between values in their own units and the unconstrained line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from antidrome.errors import InputError, did_you_mean
from antidrome.mechanism.distributions import Distribution, log_density_of_map
from antidrome.mechanism.labelled import in_columns_of


@dataclass(frozen=True)
class Coordinates:
    """Names and units of parameters, and the map of each to a coordinate in which its prior is N(0, 1).

    Parameters
    ----------
    names, units
        One for each parameter.
    distributions
        The one-dimensional prior of each.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    distributions: tuple[Distribution, ...]

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        return len(self.names)

    @property
    def bounds(self) -> np.ndarray:
        """Support, (parameter, 2); infinite where there is no bound."""
        return np.array([d.bounds for d in self.distributions], dtype=float)

    def to_unconstrained(self, theta: ArrayLike) -> np.ndarray:
        """Parameter sets (n, parameter) in unconstrained coordinates.

        Raises
        ------
        InputError
            A value lies outside its support; the message names row and parameter.
        """
        theta = self.table(theta)
        u = np.stack([d.to_unconstrained(theta[:, i]) for i, d in enumerate(self.distributions)], axis=1)
        if np.isnan(u).any():
            row, column = np.argwhere(np.isnan(u))[0]
            low, high = self.distributions[column].bounds
            raise InputError(
                f"Parameter {self.names[column]!r} of row {row} is {theta[row, column]:g}, outside its prior's support"
                f" [{low:g}, {high:g}]. Widen the prior or leave the row out."
            )
        return u

    def from_unconstrained(self, u: ArrayLike) -> np.ndarray:
        """Unconstrained coordinates (n, parameter) as parameter sets; always inside the support."""
        u = self.table(u)
        return np.stack([d.from_unconstrained(u[:, i]) for i, d in enumerate(self.distributions)], axis=1)

    def log_jacobians(self, u: ArrayLike) -> np.ndarray:
        """log |dθᵢ/duᵢ| of each parameter, (n, parameter)."""
        u = self.table(u)
        return np.stack([log_density_of_map(d, u[:, i]) for i, d in enumerate(self.distributions)], axis=1)

    def inside(self, theta: ArrayLike) -> np.ndarray:
        """Whether parameter sets (n, parameter) lie in the support, (n,)."""
        theta = self.table(theta)
        low, high = self.bounds.T
        return ((theta >= low) & (theta <= high)).all(axis=1)

    def index(self, name: str) -> int:
        """Position of a parameter.

        Raises
        ------
        InputError
            There is none of this name.
        """
        if name not in self.names:
            hint = did_you_mean(name, self.names)
            raise InputError(f"There is no parameter {name!r}.{hint} There are: {', '.join(self.names)}.")
        return self.names.index(name)

    def known(self, theta: ArrayLike | Mapping[str, ArrayLike]) -> np.ndarray:
        """Parameter sets as an array (n, parameter), as `table` makes it.

        Raises
        ------
        InputError
            A value is missing; the message names row and parameter.
        """
        theta = self.table(theta)
        if np.isnan(theta).any():
            row, column = np.argwhere(np.isnan(theta))[0]
            raise InputError(
                f"Parameter {self.names[column]!r} of row {row} is missing (NaN): such a parameter set has no density."
                " Leave the row out."
            )
        return theta

    def table(self, values: ArrayLike | Mapping[str, ArrayLike]) -> np.ndarray:
        """Values as an array (n, parameter), those with names by name; anything else is refused."""
        try:
            values = np.asarray(in_columns_of(values, self.names), dtype=float)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"Parameter sets of type {type(values).__name__} are no numbers of shape (n, {self.n_parameters}) for"
                f" {', '.join(self.names)}: {error}"
            ) from error
        if values.ndim != 2 or values.shape[1] != self.n_parameters:
            raise InputError(
                f"Expected parameter sets of shape (n, {self.n_parameters}) for {', '.join(self.names)}; got"
                f" {values.shape}."
            )
        return values

    def log_abs_det_jacobian(self, u: ArrayLike) -> np.ndarray:
        """log |det dθ/du| at unconstrained coordinates (n, parameter), (n,)."""
        return self.log_jacobians(u).sum(axis=1)

    def of(self, names: Sequence[str]) -> Coordinates:
        """The coordinates of some parameters, in the given order."""
        rows = [self.index(name) for name in names]
        return Coordinates(tuple(names), tuple(self.units[i] for i in rows), tuple(self.distributions[i] for i in rows))
