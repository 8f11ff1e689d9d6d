"""Finds prepared tfds data sets, or says what has to lie where.

tfds takes seconds to import, so it is imported only where it is needed. Nothing
here reaches for the network unless `download` allows it.
"""

from __future__ import annotations

import dataclasses
import difflib
import pathlib

_INFO, _FEATURES = 'dataset_info.json', 'features.json'
_IMAGENET = 'imagenet2012'
# Of data sets that nobody may offer for download: files of the splits that are
# used here. tfds itself would go on without one of them.
_MANUAL_FILES = {
    _IMAGENET: ('ILSVRC2012_img_train.tar', 'ILSVRC2012_img_val.tar')
}
# Split 'test' of ImageNet has no labels.
_TEST_SPLITS = {_IMAGENET: ('validation',)}
_DEFAULT_TEST_SPLITS = ('test', 'validation')


@dataclasses.dataclass(frozen=True)
class Places:
  """Where data sets lie.

  Attributes:
    data_dir: folder of prepared tfds data sets.
    download: whether what is missing may be downloaded and prepared there.
    manual_dir: folder of archives that one has to get oneself; None for
      <data_dir>/downloads/manual.
  """

  data_dir: pathlib.Path
  download: bool = False
  manual_dir: pathlib.Path | None = None


def is_imagenet_name(name: str) -> bool:
  """Whether that is ILSVRC 2012, however it was prepared."""
  return name == _IMAGENET


def open_named(name: str, places: Places):
  """Returns the prepared builder of tfds:<name>.

  Raises:
    FileNotFoundError: it is not prepared and may not be downloaded, or an
      archive that only its user can get is missing.
    ValueError: tfds knows no such data set.
  """
  import tensorflow_datasets as tfds  # pylint: disable=import-outside-toplevel

  known = tfds.list_builders(with_community_datasets=False)
  if name not in known:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
    raise ValueError(
        f"tfds has no data set '{name}'; did you mean '{nearest}'?"
    )
  manual_dir = places.manual_dir or places.data_dir / 'downloads' / 'manual'
  prepared = any((places.data_dir / name).rglob(_INFO))
  if not prepared and not places.download:
    raise FileNotFoundError(_absent(name, places.data_dir, manual_dir))
  builder = tfds.builder(name, data_dir=places.data_dir)
  if not builder.is_prepared():
    if not places.download:
      raise FileNotFoundError(_absent(name, builder.data_dir, manual_dir))
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
      _require_manual_files(builder, manual_dir)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
    )
  return builder


def open_directory(path: pathlib.Path):
  """Returns the builder of a folder that tfds has prepared.

  Raises:
    FileNotFoundError: there is no such folder, or it holds no data set.
  """
  import tensorflow_datasets as tfds  # pylint: disable=import-outside-toplevel

  missing = [n for n in (_INFO, _FEATURES) if not (path / n).is_file()]
  if missing:
    below = sorted(p.parent for p in path.glob(f'*/**/{_INFO}'))
    if below:
      hint = f"; did you mean 'builder_dir:{below[-1]}'?"
    elif not path.is_dir():
      hint = ': there is no such folder'
    else:
      hint = f', only {sorted(p.name for p in path.iterdir())[:5]}'
    raise FileNotFoundError(
        f"data set 'builder_dir:{path}': expected {_INFO}, {_FEATURES} and the "
        'record files that tfds writes, such as '
        f'<data_dir>/imagenet2012/5.1.0; did not find {missing}{hint}'
    )
  return tfds.builder_from_directory(str(path))


def test_split(builder) -> str:
  """Returns the split for the final figures.

  Raises:
    ValueError: there is no split 'train', or none with other labelled images.
  """
  names = list(builder.info.splits)
  for split in _TEST_SPLITS.get(builder.name, _DEFAULT_TEST_SPLITS):
    if split in names and 'train' in names:
      return split
  expected = ' or '.join(_TEST_SPLITS.get(builder.name, _DEFAULT_TEST_SPLITS))
  raise ValueError(
      f"data set '{builder.name}' in {builder.data_dir}: expected the splits "
      f'train and {expected}, found {names}; prepare it anew with all of its '
      'archives in place'
  )


def require_images(builder) -> None:
  """Raises ValueError unless the data set has images and labels."""
  import tensorflow_datasets as tfds  # pylint: disable=import-outside-toplevel

  features = dict(builder.info.features)
  if not (
      isinstance(features.get('image'), tfds.features.Image)
      and isinstance(features.get('label'), tfds.features.ClassLabel)
  ):
    raise ValueError(
        f"data set '{builder.name}': expected the features 'image' and"
        f" 'label', found {sorted(features)}"
    )


def _absent(name: str, where, manual_dir: pathlib.Path) -> str:
  text = (
      f"data set 'tfds:{name}' is not on this machine: looked in {where}. Name "
      'the tfds data directory that holds it with --data_dir or '
      'TFDS_DATA_DIR, or '
  )
  if name not in _MANUAL_FILES:
    return text + 'allow the download with --download'
  return (
      f'{text}a folder with {_INFO} with --dataset=builder_dir:<path>. To '
      f'prepare it here, put {" and ".join(_MANUAL_FILES[name])} into '
      f'{manual_dir} (or --manual_dir) and give --download'
  )


def _require_manual_files(builder, manual_dir: pathlib.Path) -> None:
  """Raises FileNotFoundError unless the archives lie there."""
  expected = _MANUAL_FILES.get(builder.name, ())
  missing = [n for n in expected if not (manual_dir / n).is_file()]
  if missing or not manual_dir.is_dir() or not any(manual_dir.iterdir()):
    instructions = ' '.join(builder.MANUAL_DOWNLOAD_INSTRUCTIONS.split())
    raise FileNotFoundError(
        f"data set 'tfds:{builder.name}' cannot be downloaded by a program: "
        f'expected {" and ".join(expected) or "its files"} in {manual_dir} (or '
        f'--manual_dir), did not find {missing or "any file"}. {instructions}'
    )
