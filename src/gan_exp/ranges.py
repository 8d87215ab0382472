"""Annotations with ranges; a constructor's signature is the schema that its YAML is checked against."""

from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

PositiveInt = Annotated[int, Ge(1)]
NonNegativeInt = Annotated[int, Ge(0)]
PositiveFloat = Annotated[float, Gt(0)]
NonNegativeFloat = Annotated[float, Ge(0)]
Fraction = Annotated[float, Ge(0), Lt(1)]
PositiveShare = Annotated[float, Gt(0), Le(1)]
Probability = Annotated[float, Ge(0), Le(1)]
Byte = Annotated[int, Ge(0), Le(255)]
ImageShape = tuple[int, int, int]  # channels, height, width
