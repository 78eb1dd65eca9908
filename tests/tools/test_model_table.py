import re

import pytest


def test_the_rows_of_the_table_are_replaced(tool):
    page = f"# Models\n\n{tool.HEADER}| old | row |\n| older | row |\n\nAfter it.\n"
    assert tool.replace_table(page, ["| a |", "| b |"]) == f"# Models\n\n{tool.HEADER}| a |\n| b |\n\nAfter it.\n"


def test_a_page_without_the_table_is_refused(tool):
    with pytest.raises(ValueError, match=rf"must have the table .*Received: {re.escape(str(tool.PAGE))}"):
        tool.replace_table("# Models\n", ["| a |"])
