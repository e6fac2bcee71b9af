WORD = "from libs"
