"""Parts of the networks against brute force and closed forms."""

import numpy as np
import pytest
import torch
from scipy import sparse
from torchvision.models import resnet18, resnet50

from handmesh.errors import InputError
from models import build_model
from models.attention import FeatureAttention
from models.checkpoint import model_from_checkpoint, read_checkpoint
from models.cmr import VARIANTS
from models.heatmap_decoder import HeatmapDecoder
from models.inference import AT_ONCE, InferenceCMR, for_inference
from models.packed import PackedConv
from models.spiral import SparseSum, SpiralBlock, SpiralConv
from models.subpose import TIP_PAIRS, WHOLE_FINGERS, SubPoseAggregation
from runner import load_predictor
from tests.conftest import SMALL_WIDTHS
from utils.template import OPEN_HAND, load_template


@pytest.mark.parametrize("name", list(VARIANTS))
def test_output_shapes(name, template):
    model = build_model(name, "ResNet18", template, out_channels=SMALL_WIDTHS).eval()
    with torch.no_grad():
        output = model(torch.zeros(2, 3, 64, 64))
    assert [tuple(mesh.shape) for mesh in output.pop("mesh_pred")] == [(2, v, 3) for v in template.num_vertices[:4]]
    expected = {name: count for stage in VARIANTS[name].stages for name, count in stage.outputs}
    assert output.keys() == expected.keys()
    for key, maps in output.items():
        assert maps.shape == ((2, 32, 32) if key.startswith("mask") else (2, 21, 32, 32))
        assert 0 <= maps.min() <= maps.max() <= 1


def test_no_constant_in_the_state_dict(small_model):
    assert all(key in dict(small_model.named_parameters()) or "running" in key or "num_batches" in key
               for key in small_model.state_dict())  # fmt: skip


def test_spiral_convolution_is_gather_then_linear(rng):
    spirals = rng.integers(0, 12, (12, 5))
    layer = SpiralConv(4, 3, spirals)
    x = torch.randn(12, 2, 4)
    expected = torch.stack([x[row].transpose(0, 1).flatten(1) for row in spirals])  # (12, 2, 5 * 4)
    torch.testing.assert_close(layer(x), expected @ layer.layer.weight.T + layer.layer.bias)


def random_upsampling(rng):
    matrix = sparse.random(9, 5, density=0.4, rng=rng).tolil()
    matrix[3] = 0  # a row without entries
    return matrix.tocsr()


def test_sparse_sum_is_multiplication_by_the_matrix(rng):
    matrix = random_upsampling(rng)
    x = torch.randn(5, 2, 3)
    expected = torch.einsum("vw,wbc->vbc", torch.from_numpy(matrix.toarray()).float(), x)
    torch.testing.assert_close(SparseSum(matrix)(x), expected)


def test_spiral_block_is_upsampling_then_four_convolutions(rng):
    up, spirals = random_upsampling(rng), rng.integers(0, 9, (9, 6))
    block = SpiralBlock(4, 8, spirals, up)
    x = torch.randn(5, 2, 4)
    fine = torch.einsum("vw,wbc->vbc", torch.from_numpy(up.toarray()).float(), x)

    def gathered(branch, length):
        neighbours = torch.stack([fine[row[:length]].transpose(0, 1).flatten(1) for row in spirals])
        return neighbours @ branch.layer.weight.T + branch.layer.bias

    reach = [gathered(block.conv, 6), gathered(block.conv_2d3, 4), gathered(block.conv_d3, 2)]
    torch.testing.assert_close(block(x), (gathered(block.conv1, 1) + torch.cat(reach, -1)).relu())


def test_spiral_block_has_the_gradient_of_its_formula(rng):
    block = SpiralBlock(3, 4, rng.integers(0, 9, (9, 6)), random_upsampling(rng)).double()
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    weight = block.conv.layer.weight
    assert torch.autograd.gradcheck(lambda x, _weight: block(x), (x, weight))


@pytest.mark.parametrize("name", list(VARIANTS))
def test_inference_network_equals_the_trained_one(name, template):
    torch.manual_seed(3)
    model = build_model(name, "ResNet18", template, out_channels=SMALL_WIDTHS)
    with torch.no_grad():
        for _ in range(3):  # batch statistics that are not those of a new network
            model(torch.randn(4, 3, 64, 64) + 0.5)
        model.eval()
        images = torch.randn(2, 3, 64, 64)
        rearranged = InferenceCMR(model)
        expected, found = model(images), rearranged(images)
        rough = InferenceCMR(model, "bf16")(images)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(rough[key], value, atol=0.05, rtol=0.05)
    composed = rearranged.de_layers[0].in_features < model.de_layers[0].in_features  # `fc` has gone into it
    assert composed == isinstance(model.attention, torch.nn.Identity)


@pytest.mark.parametrize(("name", "backbone"), [("cmr_g", "ResNet18"), ("cmr_mobile", "HandTrunk")])
def test_a_large_batch_is_as_its_images_by_themselves(name, backbone, template):
    torch.manual_seed(3)
    network = for_inference(build_model(name, backbone, template, out_channels=SMALL_WIDTHS).eval())
    images = torch.rand(2 * AT_ONCE + 1, 3, 64, 64)
    first = next(module for module in network.modules() if isinstance(module, PackedConv))
    sizes: list[int] = []
    hook = first.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    with torch.inference_mode():
        network(images)
        hook.remove()
        assert sum(sizes) == len(images)
        assert max(sizes) <= AT_ONCE
        together, alone = network(images), [network(image[None]) for image in images]
    for key, value in together.items():
        for level, expected in enumerate(value if isinstance(value, list) else [value]):
            found = [one[key][level] if isinstance(value, list) else one[key] for one in alone]
            torch.testing.assert_close(torch.cat(found), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", [*VARIANTS, "cmr_mobile"])
def test_what_is_made_for_inference_equals_the_trained_network(name, precision, template):
    torch.manual_seed(3)
    backbone = "HandTrunk" if name == "cmr_mobile" else "ResNet18"
    model = build_model(name, backbone, template, out_channels=SMALL_WIDTHS)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        for _ in range(20):  # batch statistics that are those of the images, as after training
            model(images)
        expected = model.eval()(images)
        found = for_inference(model, precision)(images)
    tolerance = {"atol": 1e-4, "rtol": 1e-3} if precision == "float32" else {"atol": 0.05, "rtol": 0.05}
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        scale = 64 if key == "landmarks" else 1  # pixels
        for one, other in zip(*((x if isinstance(x, list) else [x]) for x in (found[key], value)), strict=True):
            assert one.dtype == torch.float32
            torch.testing.assert_close(one / scale, other / scale, **tolerance)


def test_what_a_compiler_takes_is_not_parted(template):
    model = build_model("cmr_g", "ResNet18", template, out_channels=SMALL_WIDTHS).eval()
    assert for_inference(model).at_once == AT_ONCE
    assert for_inference(model, "bf16").at_once == AT_ONCE
    assert InferenceCMR(model).at_once is None


def test_sub_poses_are_sums_of_groups():
    heatmaps = torch.rand(2, 21, 4, 4)
    sums = SubPoseAggregation(TIP_PAIRS + WHOLE_FINGERS)(heatmaps)
    assert sums.shape == (2, 15, 4, 4)
    assert TIP_PAIRS[0] == (4, 8)
    assert TIP_PAIRS[-1] == (16, 20)
    torch.testing.assert_close(sums[:, 3], heatmaps[:, 4] + heatmaps[:, 20])
    torch.testing.assert_close(sums[:, 11], heatmaps[:, 5:9].sum(1))


def test_attention_starts_as_identity_and_matches_its_formula():
    attention = FeatureAttention(6)
    x = torch.randn(3, 6)
    assert torch.equal(attention(x), x)
    with torch.no_grad():
        attention.gamma.fill_(0.7)
    q, k, v = attention.query_conv(x), attention.key_conv(x), attention.value_conv(x)
    for b in range(3):
        expected = 0.7 * torch.softmax(torch.outer(q[b], k[b]), dim=1) @ v[b] + x[b]
        torch.testing.assert_close(attention(x)[b], expected)


def test_decoder_doubles_to_half_resolution():
    pyramid = [torch.randn(1, channels, size, size) for channels, size in ((32, 2), (16, 4), (8, 8), (4, 16))]
    assert HeatmapDecoder((32, 16, 8, 4))(pyramid).shape == (1, 4, 32, 32)


def test_imagenet_weights_from_a_file_reach_every_stage(template, tmp_path):
    torch.manual_seed(5)
    weights = resnet18(weights=None).state_dict()
    torch.save(weights, tmp_path / "resnet18.pth")
    model = build_model("cmr_pg", "ResNet18", template, pretrained=tmp_path / "resnet18.pth")
    assert torch.equal(model.backbone1.conv1.weight, weights["conv1.weight"])
    for stage in (model.backbone1, model.backbone2, model.backbone3):
        assert torch.equal(stage.layer4[1].conv2.weight, weights["layer4.1.conv2.weight"])
    assert torch.equal(model.backbone3.fc.weight, weights["fc.weight"])


def test_older_imagenet_files_without_batch_counters_are_fine_and_others_are_not(template, tmp_path):
    path = tmp_path / "weights.pth"
    older = {key: value for key, value in resnet18(weights=None).state_dict().items() if "num_batches" not in key}
    torch.save(older, path)
    build_model("cmr_g", "ResNet18", template, pretrained=path, out_channels=SMALL_WIDTHS)
    for content in (resnet50(weights=None).state_dict(), {"state_dict": older}, [1], torch.zeros(2)):
        torch.save(content, path)
        with pytest.raises(InputError, match="--imagenet"):
            build_model("cmr_g", "ResNet18", template, pretrained=path, out_channels=SMALL_WIDTHS)


def test_imagenet_weights_that_cannot_be_had_are_a_warning(template, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
    with pytest.warns(UserWarning, match="from scratch"):
        build_model("cmr_g", "ResNet18", template, pretrained=True, out_channels=SMALL_WIDTHS)


def test_a_template_may_be_named(template):
    model = build_model("cmr_g", "ResNet18", OPEN_HAND, out_channels=SMALL_WIDTHS)
    assert model.coarsest[0] == template.num_vertices[-1]


def test_unknown_names_and_files_are_input_errors(template, tmp_path):
    with pytest.raises(InputError, match="cmr_pg"):
        build_model("cmr_x", "ResNet18", template)
    with pytest.raises(InputError, match="ResNet50"):
        build_model("cmr_g", "ResNet34", template)
    with pytest.raises(InputError, match="nothing.pth"):
        build_model("cmr_g", "ResNet18", template, pretrained=tmp_path / "nothing.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(InputError, match="text.pth"):
        build_model("cmr_g", "ResNet18", template, pretrained=tmp_path / "text.pth")


def test_checkpoint_says_what_it_is(small_model, template, tmp_path):
    torch.save(small_model.state_dict(), tmp_path / "small.pt")
    checkpoint = read_checkpoint(tmp_path / "small.pt")
    assert (checkpoint.name, checkpoint.backbone, checkpoint.out_channels) == ("cmr_g", "ResNet18", SMALL_WIDTHS)
    model_from_checkpoint(checkpoint, template)
    with pytest.raises(InputError, match="--template"):
        model_from_checkpoint(checkpoint, load_template("template/open_hand", seq_length=9))


def test_a_template_that_only_looks_alike_is_refused(small_model, template, tmp_path):
    content = {"model_state_dict": small_model.state_dict(), "template_digest": "of another template"}
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(InputError, match="another template"):
        model_from_checkpoint(read_checkpoint(tmp_path / "other.pt"), template)


@pytest.mark.parametrize("damage", ["de_layers.1.conv1.layer.weight", "heads.2.layer.weight", "uv_head2.conv.bias"])
def test_incomplete_and_misshapen_weights_are_input_errors(damage, small_model, template, tmp_path):
    path = tmp_path / "damaged.pt"
    for value in (None, torch.tensor(1.0), torch.zeros(3)):
        weights = dict(small_model.state_dict())
        del weights[damage]
        if value is not None:
            weights[damage] = value
        torch.save(weights, path)
        with pytest.raises(InputError, match="damaged.pt"):
            model_from_checkpoint(read_checkpoint(path), template)


@pytest.mark.parametrize(
    "options",
    [{"size": 0}, {"size": "large"}, {"img_std": 0.0}, {"seq_length": None}, {"template": 3}, {"dilation": [0] * 4}],
)
def test_stored_options_are_checked(options, small_model, tmp_path):
    path = tmp_path / "odd.pt"
    torch.save({"model_state_dict": small_model.state_dict(), "options": options}, path)
    if options == {"seq_length": None}:  # as good as not stored
        assert load_predictor(path, device="cpu").size == 224
        return
    with pytest.raises(InputError, match="odd.pt"):
        load_predictor(path, device="cpu")


@pytest.mark.parametrize("content", [{"a": torch.zeros(1)}, [1, 2], {"model_state_dict": 3}, {3: torch.zeros(1)}])
def test_foreign_checkpoints_are_input_errors(content, tmp_path):
    torch.save(content, tmp_path / "foreign.pt")
    with pytest.raises(InputError, match="foreign.pt"):
        read_checkpoint(tmp_path / "foreign.pt")


def test_a_checkpoint_with_code_inside_is_refused(tmp_path):
    class Payload:
        def __reduce__(self):
            return print, ("run",)

    torch.save({"model_state_dict": Payload()}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match="evil.pt"):
        read_checkpoint(tmp_path / "evil.pt")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu(small_model):
    images = torch.randn(2, 3, 64, 64)
    small_model.eval()
    with torch.no_grad():
        on_cpu = small_model(images)["mesh_pred"][0]
        on_gpu = small_model.cuda()(images.cuda())["mesh_pred"][0].cpu()
    small_model.cpu()
    np.testing.assert_allclose(on_gpu, on_cpu, atol=2e-3 * float(on_cpu.abs().max()))
