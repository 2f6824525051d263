"""A failed test shows the register traces of its benches."""

pytest_plugins = ["pytester"]

ONE_FAILS = """
    import pytest
    from minivm.devices.uart import Uart
    from minivm.testing.bench import DeviceBench

    KEPT = DeviceBench(Uart, base=0x2F8)

    def test_passes():
        DeviceBench(Uart, base=0x3F8).write("SCR", 0x12)

    def test_fails():
        bench = DeviceBench(Uart, base=0x3F8)
        bench.write("SCR", 0x5A)
        assert bench.read("SCR") == 0x5B

    def test_uses_an_old_bench():
        KEPT.write("SCR", 0x77)
        raise ValueError
"""


def test_a_failed_tests_benches_show_their_traces(pytester):
    pytester.makepyfile(ONE_FAILS)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=2)
    text = result.stdout.str()
    assert text.count("register trace of Uart at 3F8h") == 1
    assert text.count("register trace of Uart at 2F8h") == 1
    result.stdout.re_match_lines([r".*write +3FFh SCR +5Ah.*"])


def test_a_session_without_benches_does_not_import_them(pytester):
    pytester.makepyfile(
        """
        import sys
        def test_nothing_is_imported():
            assert not {"minivm.testing.bench", "minivm.machine", "unicorn"} & set(sys.modules)
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
