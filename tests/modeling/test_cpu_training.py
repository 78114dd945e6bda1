import copy
import itertools

import pytest
import torch
from detectron2.layers import Conv2d, FrozenBatchNorm2d
from detectron2.modeling import build_model
from torch import nn
from torch.nn import functional as F

from campus_seg.config import load_config
from campus_seg.modeling import cpu_training
from campus_seg.modeling.cpu_training import QuickConv2d, gradients_of_places, quicken
from campus_seg.modeling.mini_backbone import register_mini_backbone

ALWAYS, NEVER = (1, 1), (10**9, 1)  # channels and tiles from which on Winograd's way is taken


@pytest.fixture(params=[ALWAYS, NEVER], ids=["winograd", "pytorch"])
def way(request, monkeypatch):
    monkeypatch.setattr(cpu_training, "OUTPUTS", request.param)
    monkeypatch.setattr(cpu_training, "WEIGHTS", request.param)


def both(conv, x, gradient):
    """Outputs and gradients of the layer as it is, and quickened."""
    found = []
    for layer in (conv, quicken(copy.deepcopy(nn.Sequential(conv)))):
        seen = x.clone().requires_grad_()
        outputs = layer(seen)
        outputs.backward(gradient)
        found.append([outputs, seen.grad, *(parameter.grad for parameter in layer.parameters())])
    return zip(*found, strict=True)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.usefixtures("way")
def test_a_convolution_with_its_norm_and_activation(bias):
    torch.manual_seed(0)
    conv = Conv2d(6, 8, 3, padding=1, bias=bias, norm=FrozenBatchNorm2d(8), activation=F.relu)
    conv.norm.weight.uniform_(0.5, 2)
    for stock, ours in both(conv, torch.randn(2, 6, 13, 10), torch.randn(2, 8, 13, 10)):
        assert torch.allclose(ours, stock, atol=2e-4 * float(stock.detach().abs().max()))


def test_what_is_left_to_detectron2():
    layers = nn.Sequential(
        Conv2d(4, 4, 3, padding=1),
        Conv2d(4, 4, 3, padding=1, stride=2),
        Conv2d(4, 4, 1),
        Conv2d(4, 4, 3, padding=2, dilation=2),
        Conv2d(4, 4, 3, padding=1, groups=2),
        Conv2d(4, 4, 3),
        nn.Conv2d(4, 4, 3, padding=1),
    )
    assert [type(layer) is QuickConv2d for layer in quicken(layers)] == [True] + [False] * 6


@pytest.mark.parametrize("how", ["no gradients", "bfloat16"])
def test_without_gradients_and_in_bfloat16_it_is_detectron2s_own(how, monkeypatch):
    monkeypatch.setattr(cpu_training._Convolution, "apply", lambda *_: pytest.fail("ours"))
    torch.manual_seed(0)
    conv, x = Conv2d(4, 4, 3, padding=1), torch.randn(1, 4, 8, 8)
    with torch.autocast("cpu", torch.bfloat16, enabled=how == "bfloat16"), torch.set_grad_enabled(how == "bfloat16"):
        found = quicken(nn.Sequential(copy.deepcopy(conv)))(x)
        assert torch.allclose(found, conv(x), atol=1e-6)


def places_of(gradient):
    return gradient.permute(0, 2, 3, 1).any(-1).nonzero()


@pytest.mark.parametrize("count", [0, 1, 9, 60])
def test_gradients_of_places(count):
    """Corners and neighbours among them."""
    torch.manual_seed(count)
    x = torch.randn(2, 5, 7, 9, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 5, 3, 3, dtype=torch.float64, requires_grad=True)
    gradient = torch.zeros(2, 4, 7, 9, dtype=torch.float64)
    chosen = torch.randperm(2 * 7 * 9)[:count]
    for place in chosen.tolist():
        photo, rest = divmod(place, 63)
        gradient[photo, :, rest // 9, rest % 9] = torch.randn(4, dtype=torch.float64)
    F.conv2d(x, weight, padding=1).backward(gradient)
    by_x, by_weight = gradients_of_places(x.detach(), weight.detach(), gradient, places_of(gradient))
    assert torch.allclose(by_x, x.grad) and torch.allclose(by_weight, weight.grad)
    given = x.detach(), weight.detach(), gradient, places_of(gradient)
    for of_x, of_weight in itertools.product([False, True], repeat=2):
        found = gradients_of_places(*given, of_x, of_weight)
        assert [each is not None for each in found] == [of_x, of_weight]
        assert all(
            torch.equal(each, full) for each, full in zip(found, (by_x, by_weight), strict=True) if each is not None
        )


@pytest.mark.usefixtures("threads_as_they_were")
def test_two_threads_sum_the_gradients_of_places_in_one_order():
    """Places in no order, so that threads which shared them out would meet all over the map."""
    torch.set_num_threads(2)
    torch.manual_seed(0)
    x, weight, gradient = torch.randn(2, 16, 48, 48), torch.randn(16, 16, 3, 3), torch.randn(2, 16, 48, 48)
    places = places_of(gradient)
    given = x, weight, gradient, places[torch.randperm(len(places))]
    first = gradients_of_places(*given)
    for _ in range(5):
        assert all(map(torch.equal, gradients_of_places(*given), first))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.usefixtures("way")
def test_an_activation_in_place_without_a_norm(bias):
    torch.manual_seed(0)
    conv = Conv2d(6, 8, 3, padding=1, bias=bias, activation=F.relu_)
    for stock, ours in both(conv, torch.randn(2, 6, 13, 10), torch.randn(2, 8, 13, 10)):
        assert torch.allclose(ours, stock, atol=2e-4 * float(stock.detach().abs().max()))


@pytest.mark.parametrize("few_places", [True, False])
@pytest.mark.parametrize("frozen", ["weight", "bias", "x"])
@pytest.mark.usefixtures("way")
def test_what_is_frozen_costs_no_gradient(frozen, few_places, monkeypatch):
    """The others' stay what they are; one photo of two has a single place that counts."""
    worked_out = []
    for module, name in (
        (cpu_training, "gradients_of_places"),
        (cpu_training.winograd, "input_gradient"),
        (cpu_training.winograd, "weight_gradient"),
    ):
        real = getattr(module, name)

        def watched(*given, real=real):
            found = real(*given)
            worked_out.append(found)
            return found

        monkeypatch.setattr(module, name, watched)
    torch.manual_seed(0)
    stock = Conv2d(3, 4, 3, padding=1)
    layer = quicken(nn.Sequential(copy.deepcopy(stock)))[0]
    layer.few_places = few_places
    gradient = torch.zeros(2, 4, 16, 16)
    gradient[1, :, 5, 0] = torch.randn(4)
    found = []
    for each in (stock, layer):
        tensors = {"x": torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1), requires_grad=True)}
        tensors |= {"weight": each.weight, "bias": each.bias}
        tensors[frozen].requires_grad_(False)
        each(tensors["x"]).backward(gradient)
        found.append([tensor.grad for tensor in tensors.values()])
    for expected, ours in zip(*found, strict=True):
        assert (ours is None) == (expected is None)
        assert ours is None or torch.allclose(ours, expected, atol=1e-5)
    if few_places:
        [(by_x, by_weight)] = worked_out
        assert (by_x is None, by_weight is None) == (frozen == "x", frozen == "weight")
    else:
        both_wanted = frozen == "bias"
        assert len(worked_out) == (0 if cpu_training.OUTPUTS == NEVER else 1 + both_wanted)


@pytest.mark.parametrize("few_places", [True, False])
@pytest.mark.usefixtures("way")
def test_a_batch_of_nothing(few_places):
    """As the mask head gets where no proposal is on an object."""
    layer = quicken(nn.Sequential(Conv2d(3, 4, 3, padding=1)))[0]
    layer.few_places = few_places
    x = torch.zeros(0, 3, 14, 14, requires_grad=True)
    outputs = layer(x)
    outputs.sum().backward()
    assert outputs.shape == (0, 4, 14, 14) and x.grad.shape == x.shape
    assert not layer.weight.grad.any() and not layer.bias.grad.any()


@pytest.mark.usefixtures("way")
def test_a_gradient_of_the_gradient_is_refused():
    layer = quicken(nn.Sequential(Conv2d(3, 4, 3, padding=1)))
    x = torch.randn(1, 3, 8, 8, requires_grad=True)
    (by_x,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        by_x.sum().backward()


@pytest.fixture
def mini():
    register_mini_backbone()
    cfg = load_config("mask_rcnn_mini_FPN.yaml", ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", 3])
    torch.manual_seed(0)
    return build_model(cfg)


def test_a_whole_model(mini):
    names = list(mini.state_dict())
    quick = quicken(copy.deepcopy(mini))
    assert list(quick.state_dict()) == names
    head = quick.proposal_generator.rpn_head
    assert [name for name, module in quick.named_modules() if getattr(module, "few_places", False)] == [
        "proposal_generator.rpn_head.conv"
    ]
    torch.manual_seed(1)
    features = torch.randn(1, 64, 32, 32)
    found = []
    for model in (mini, quick):
        seen = features.clone().requires_grad_()
        logits, deltas = model.proposal_generator.rpn_head([seen])
        (logits[0][0, 1, 4:6, 7].sum() + deltas[0][0, 5, 0, 0]).backward()  # three places
        found.append((logits[0], seen.grad, model.proposal_generator.rpn_head.conv.weight.grad))
    for stock, ours in zip(*found, strict=True):
        assert torch.allclose(ours, stock, atol=1e-5 * float(stock.detach().abs().max()))
    assert head.conv.weight.grad is not None


def test_few_places_are_seen_and_many_are_done_in_full(monkeypatch):
    calls = []
    real = cpu_training.gradients_of_places
    monkeypatch.setattr(cpu_training, "gradients_of_places", lambda *given: calls.append(1) or real(*given))
    layer = quicken(nn.Sequential(Conv2d(3, 3, 3, padding=1)))
    layer[0].few_places = True
    outputs = layer(torch.randn(1, 3, 16, 16, requires_grad=True))
    outputs.sum().backward(retain_graph=True)
    assert not calls
    outputs[0, 0, 3, 3].backward()
    assert calls
