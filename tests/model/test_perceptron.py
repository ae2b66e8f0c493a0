"""The perceptron is its formula."""

from cdmtrain.model.perceptron import Perceptron


def test_logits_and_gradients_are_those_of_the_formula(image, drawn, assert_equal_with_gradients):
    net = drawn(Perceptron(image_size=33))
    weight = net.linear.weight.view(33, 33, 4)
    expected = (image.energy.squeeze(1).unsqueeze(3) * weight).sum((1, 2)) + net.linear.bias
    assert_equal_with_gradients(net(image), expected, image.energy, *net.parameters())
