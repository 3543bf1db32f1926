"""The cost of serving: on functions of both clouds, on SageMaker Serverless Inference and on an always-on instance.

Other packages use `estimate`, the monthly cost of a function before it is deployed.
"""

from onnxlet_cli.cost.monthly import Estimate, estimate
from onnxlet_cli.cost.offers import Extras

__all__ = ["Estimate", "Extras", "estimate"]
