"""Where model versions live, and which one is champion."""
