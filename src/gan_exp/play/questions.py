"""What the page asks for: latents by their description, checked before anything is computed."""

from typing import Annotated, TypeVar

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError, model_validator

from gan_exp.errors import UserError

LARGEST_SEED = 2**53 - 1  # whole numbers that JavaScript holds exactly
FURTHEST = 20.0  # of a shift, in standard deviations
MOST_SHIFTS = 100

Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Truncation = Annotated[float, Field(ge=0.01, le=10)]
Shift = Annotated[float, Field(ge=-FURTHEST, le=FURTHEST)]


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class LatentDescription(Strict):
    """The latent of a seed or the numbers themselves, truncated, then moved along the principal directions."""

    seed: Seed | None = None
    latent: list[float] | None = None
    truncation: Truncation | None = None
    shifts: Annotated[list[Shift], Field(max_length=MOST_SHIFTS)] = []
    label: Annotated[int, Field(ge=0)] | None = None  # the number of the class

    @model_validator(mode="after")
    def _one_of_both(self) -> "LatentDescription":
        if (self.seed is None) == (self.latent is None):
            raise ValueError("give either seed or latent")
        return self


class Question(Strict):
    """One latent, or the one `at` of the way from `start` to `end`."""

    start: LatentDescription
    end: LatentDescription | None = None
    at: Annotated[float, Field(ge=0, le=1)] = 0.0


class File(Strict):
    """What the page has been given to open."""

    content: Base64Bytes


Asked = TypeVar("Asked", bound=Strict)


def read(kind: type[Asked], body: bytes) -> Asked:
    """Raises UserError that names the first fault."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the question"
        raise UserError(f"{place}: {first['msg']}") from None
