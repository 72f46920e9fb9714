"""Training samples straight from the generator: no disk, and never the same image twice."""

from datasets.augmentation import HandSample
from datasets.augmented import AugmentedHands, SampleSettings
from datasets.freihand_rows import check_topology
from datasets.synthesis.generator import STREAMING, GeneratorSettings, HandGenerator
from datasets.synthesis.hand import HAND_FILE
from handmesh.geometry import project


class SyntheticTraining(AugmentedHands):
    """A stream of generated images; an epoch is as many of them as one says.

    Args:
        generated: what the images show. Textures and lights are read here, so that workers that are copies share them.
        samples: images an epoch.
        num_vertices: vertices of the template, which must be the open hand's.
        settings: size, augmentation and seed of the samples.

    Raises:
        InputError: the template is another hand's, or a folder of the generator cannot be used.
    """

    def __init__(self, generated: GeneratorSettings, samples: int, num_vertices: int, settings: SampleSettings) -> None:
        super().__init__(settings)
        self.generator, self.samples = HandGenerator(generated), samples
        check_topology(HAND_FILE, len(self.generator.hand.model_vertices), num_vertices)
        self.generator.prepare()

    def __len__(self) -> int:
        return self.samples

    def read(self, index: int, epoch: int = 0) -> HandSample:
        """A new image: number `index` of the epoch."""
        sample = self.generator.sample(STREAMING, epoch * self.samples + index)
        return HandSample(
            image=sample.image,
            mask=sample.mask,
            landmarks_px=project(sample.joints_m, sample.K),
            vertices_m=sample.vertices_m - sample.joints_m[0],
            K=sample.K,
        )
