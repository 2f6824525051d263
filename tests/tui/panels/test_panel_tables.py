import pytest

from minivm.tui.panels.tables import TablesPanel


def test_closed_tables_are_one_line_each(play_panel):
    async def scenario(stage):
        assert stage.line("GDT").startswith("▶ GDT  base 00000000h, limit FFFFh")
        assert "IVT  base 00000000h, limit 3FFh" in stage.text
        assert "paging is off" in stage.line("Page tables")
        assert "linear 00007C00h is physical 00007C00h: paging is off" in stage.text

    play_panel(TablesPanel(), scenario)


def test_the_vector_table_names_its_interrupts(play_panel):
    async def scenario(stage):
        await stage.press("home", "down", "down", "enter")
        assert "IRQ0, the timer" in stage.line("  08h  F000:")
        assert "#DE" in stage.line("  00h  ")
        await stage.press("down", "enter")
        assert stage.followed
        await stage.press("up", "enter")
        assert "IRQ0" not in stage.text

    play_panel(TablesPanel(), scenario)


def test_a_gdt_that_was_never_loaded_says_so(play_panel):
    async def scenario(stage):
        await stage.press("home", "enter")
        assert "LGDT was not executed yet" in stage.text

    play_panel(TablesPanel(), scenario)


def test_descriptors_and_the_task_state_are_told(play_panel):
    async def scenario(stage):
        await stage.click_on("▶ GDT")
        assert "32-bit code, base 0h, limit FFFFFFFFh, DPL 0" in stage.line("0008h")
        assert "DPL 3" in stage.line("0018h")
        await stage.click_on("▶ TSS")
        assert "00007C00h" in stage.line("ESP0")
        await stage.click_on("▶ IDT")
        assert "interrupt gate" in stage.line("  0Dh  0008:")

    play_panel(TablesPanel(), scenario, "ring3", ms=200, size=(140, 60))


@pytest.mark.parametrize(("guest", "first", "second"), [("paging", "PDE", "PTE"), ("longmode", "PML4E", "PDPTE")])
def test_page_tables_open_level_by_level(play_panel, guest, first, second):
    async def scenario(stage):
        await stage.click_on("▶ Page tables")
        assert f"{first} 000h  0" in stage.text
        assert second not in stage.text.partition("Walk of")[0]
        await stage.click_on(f"▶ {first} 000h")
        assert f"{second} 000h  0" in stage.text.partition("Walk of")[0]
        await stage.press("left")
        assert second not in stage.text.partition("Walk of")[0]

    play_panel(TablesPanel(), scenario, guest, ms=200, size=(140, 60))


def test_a_walk_says_why_an_address_faults(play_panel):
    async def scenario(stage):
        await stage.press("w")
        await stage.answer("0x500000")
        assert "Walk of 00500000h" in stage.text
        assert "faults, error code 0h" in stage.text
        await stage.press("w")
        await stage.answer("no such thing")
        assert stage.said

    play_panel(TablesPanel(), scenario, "paging", ms=200, size=(140, 60))
