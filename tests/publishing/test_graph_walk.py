import onnx
from onnx import TensorProto, helper

from onnxlet_publishing.graph_walk import all_graphs, all_nodes, all_tensors, inlined, nodes_within
from tests.helpers import graphs


def nested() -> onnx.ModelProto:
    """A model with a branch in an If, and a function."""
    constant = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0]))
    branch = helper.make_graph([constant], "branch", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])])
    choice = helper.make_node("If", ["on"], ["y"], then_branch=branch, else_branch=branch)
    call = helper.make_node("Twice", ["y"], ["z"], domain="local")
    proto = graphs.model([choice, call], [("on", TensorProto.BOOL, [])], [("z", TensorProto.FLOAT, [1])])
    body = [helper.make_node("Add", ["p", "p"], ["q"])]
    opsets = [helper.make_opsetid("", 18)]
    proto.functions.append(helper.make_function("local", "Twice", ["p"], ["q"], body, opsets))
    proto.opset_import.append(helper.make_opsetid("local", 1))
    return proto


def test_nodes_and_tensors_in_branches_and_functions_are_walked() -> None:
    proto = nested()
    assert sorted(node.op_type for node in all_nodes(proto)) == ["Add", "Constant", "Constant", "If", "Twice"]
    assert [graph.name for graph in all_graphs(proto)][1:] == ["branch", "branch"]
    assert [tensor.name for tensor in all_tensors(proto)] == ["t", "t"]


def test_the_nodes_within_a_node_are_those_of_its_graphs() -> None:
    choice, call = nested().graph.node
    assert [node.op_type for node in nodes_within(choice)] == ["Constant", "Constant"]
    assert list(nodes_within(call)) == []


def test_functions_are_inlined() -> None:
    assert [node.op_type for node in inlined(nested()).graph.node] == ["If", "Add"]
