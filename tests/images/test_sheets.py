import numpy as np
import pytest

from tf_style.errors import UserError
from tf_style.images import sheets
from tf_style.images.resizing import resize


def test_grid():
    dark, gray = np.zeros((6, 8, 3), np.float32), np.full((6, 8, 3), 0.5, np.float32)
    sheet = sheets.grid([[None, dark], [gray, dark, gray]], pad=2)
    assert sheet.shape == (14, 28, 3) and sheet.dtype == np.float32
    expected = np.ones_like(sheet)
    expected[:6, 10:18] = 0
    expected[8:, :8] = 0.5
    expected[8:, 10:18] = 0
    expected[8:, 20:] = 0.5
    np.testing.assert_allclose(sheet, expected, atol=1e-6)
    assert np.array_equal(sheets.grid([[gray]]), gray)


def test_grid_letterboxes():
    wide, tall = np.zeros((4, 16, 3), np.float32), np.zeros((16, 4, 3), np.float32)
    sheet = sheets.grid([[wide, tall, np.zeros((2, 2, 3), np.float32)]], pad=0)
    assert sheet.shape == (16, 48, 3)
    expected = np.ones_like(sheet)
    expected[6:10, :16] = 0
    expected[:, 22:26] = 0
    expected[:, 32:] = 0
    np.testing.assert_allclose(sheet, expected, atol=1e-6)


def test_concat():
    dark, gray = np.zeros((8, 6, 3), np.float32), np.full((4, 5, 3), 0.5, np.float32)
    for other in (gray, resize(gray, 16, 20)):
        # All of the first one's height, which a larger one does not change.
        strip = sheets.concat([dark, other, dark], pad=1)
        assert strip.shape == (8, 6 + 1 + 10 + 1 + 6, 3)
        np.testing.assert_allclose(strip[:, 7:17], 0.5, atol=1e-6)
        assert (strip[:, [6, 17]] == 1).all() and (strip[:, :6] == 0).all()


def test_nothing_to_show():
    for rows in ([], [[]], [[None]]):
        with pytest.raises(UserError, match="A contact sheet needs at least one image"):
            sheets.grid(rows)
    with pytest.raises(UserError, match="A strip needs at least one image"):
        sheets.concat([])


def test_a_contact_sheet_names_its_images():
    dark = np.zeros((60, 80, 3), np.float32)
    sheet = sheets.contact_sheet([dark] * 3, ["one", "two", "three"])
    below = sheet[60:80]  # The line of text below the first row.
    assert (sheet[:60, :80] == 0).all() and below.min() < 0.5 and (below[:3] == 1).all()
    assert (sheet[84:, 84:] == 1).all()
