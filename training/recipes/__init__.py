"""The recipes, by name: each states its data, its network and how it is served."""

from onnxlet.errors import InvalidRequestError
from training.recipe import Recipe
from training.recipes import digits

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (digits.RECIPE,)}


def find_recipe(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        InvalidRequestError: there is none.
    """
    if name not in RECIPES:
        raise InvalidRequestError(f"recipe {name!r}: expected one of {', '.join(RECIPES)}")
    return RECIPES[name]
