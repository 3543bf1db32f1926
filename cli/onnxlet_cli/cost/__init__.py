"""What answering costs: on functions of both clouds, on SageMaker Serverless Inference and on an instance always on.

`estimate` is for other rooms: what a function that is about to be deployed will cost a month.
"""

from onnxlet_cli.cost.monthly import Estimate, estimate
from onnxlet_cli.cost.offers import Extras

__all__ = ["Estimate", "Extras", "estimate"]
