"""Suites of checks that every source, operator, function and sink must pass.

A check is an async function of a case, which says how to make the thing and what to expect:

    @pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
    @pytest.mark.asyncio
    async def test_lines_conform(check, tmp_path):
        path = tmp_path / "lines.txt"
        path.write_text("one\\ntwo\\n")
        await check(SourceCase(make=lambda: lines(path), expected=["one", "two"]))

In a plain test call `run_virtual(lambda: check(case))`. A check that fails raises AssertionError
and says what to do.
"""
