"""Figures and the HTML report; see `zoo.report.html.write_report`."""
