"""The recipes, by name: each states its data, its network and how it is served."""

from training.recipe import Recipe
from training.recipes import digits

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (digits.RECIPE,)}
