"""The recipes by name; each states its data, its network and its task."""

from onnxlet_publishing.errors import UsageError
from onnxlet_training.recipe import Recipe
from onnxlet_training.recipes import cats_dogs, char_rnn, cifar10, cnn, digits, gan, mnist, sequence, vae

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        digits.RECIPE,
        mnist.RECIPE,
        mnist.DENSE,
        cifar10.RECIPE,
        cats_dogs.RECIPE,
        sequence.LSTM,
        sequence.GRU,
        char_rnn.RECIPE,
        cnn.RECIPE,
        vae.RECIPE,
        gan.RECIPE,
    )
}


def find_recipe(name: str) -> Recipe:
    """Return the recipe of this name.

    Raises:
        UsageError: there is no such recipe.
    """
    if name not in RECIPES:
        raise UsageError(f"recipe {name!r}: expected one of {', '.join(RECIPES)}")
    return RECIPES[name]
