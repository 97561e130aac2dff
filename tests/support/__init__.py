"""What tests share: homes, their figures in one process, cells read back. Nothing here is a test."""
