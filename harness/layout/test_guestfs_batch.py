"""What guestfs_batch.py answers without starting an appliance; guestfs_reader_test.cpp has the rest."""

import guestfs_batch
import pytest


def test_no_image_needs_no_appliance():
    assert guestfs_batch.read_images([])["images"] == []


@pytest.mark.parametrize("image", ["none.img", "disk.img:vhd"])
def test_an_image_that_cannot_be_taken_is_a_usage_error(tmp_path, image, capsys):
    (tmp_path / "disk.img").touch()
    with pytest.raises(SystemExit) as end:
        guestfs_batch.main([str(tmp_path / image)])
    assert end.value.code == 2
    assert "no such image, or a format other than raw and qcow2" in capsys.readouterr().err
