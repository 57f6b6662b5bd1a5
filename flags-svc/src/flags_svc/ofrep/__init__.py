"""What remote evaluation needs beside the flags themselves: answers kept in pieces, and tokens of streams."""
