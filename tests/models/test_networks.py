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
from models.spiral import SpiralBlock, SpiralConv, UpSampling
from models.subpose import TIP_PAIRS, WHOLE_FINGERS, SubPoseAggregation
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


def random_upsampling(rng):
    matrix = sparse.random(9, 5, density=0.4, rng=rng).tolil()
    matrix[3] = 0  # a row without entries
    return matrix.tocsr()


def test_up_sampling_is_multiplication_by_the_matrix(rng):
    matrix = random_upsampling(rng)
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(UpSampling(matrix)(x), torch.from_numpy(matrix.toarray()).float() @ x)


def gathered(layer, x, spirals):
    """The convolution by its definition: neighbours side by side, times one matrix."""
    neighbours = torch.stack([x[:, row].flatten(1) for row in spirals], dim=1)
    return neighbours @ layer.weight.T + layer.bias


def test_spiral_convolution_is_gather_then_linear(rng):
    spirals = rng.integers(0, 12, (12, 5))
    convolution = SpiralConv(4, 3, spirals)
    x = torch.randn(2, 12, 4)
    torch.testing.assert_close(convolution(x), gathered(convolution.layer, x, spirals))


def test_spiral_block_is_upsampling_then_four_convolutions(rng):
    up = random_upsampling(rng)
    spirals = np.concatenate([np.arange(9)[:, None], rng.integers(0, 9, (9, 5))], axis=1)
    block = SpiralBlock(4, 8, spirals, up)
    x = torch.randn(2, 5, 4)
    fine = torch.from_numpy(up.toarray()).float() @ x
    convolutions = {block.conv: 6, block.conv_2d3: 4, block.conv_d3: 2}
    reach = [gathered(one.layer, fine, spirals[:, :length]) for one, length in convolutions.items()]
    expected = gathered(block.conv1.layer, fine, spirals[:, :1]) + torch.cat(reach, -1)
    torch.testing.assert_close(block(x), expected.relu())


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
        with pytest.raises(InputError, match="ImageNet weights|weights.pth"):
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
    with pytest.raises(InputError, match="do not fit"):
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
