"""A made-up company to try things on: a coffee shop on the web that sells by order and by subscription.

Here belongs what invents data and the two settings files (the company's, and the commented one that `retention init`
writes). Nothing here is used by the pipeline itself.
"""

from retention_pipeline.demo.company import make_company
from retention_pipeline.demo.template import settings_template

__all__ = ["make_company", "settings_template"]
