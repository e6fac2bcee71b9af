WORD = "beside json"
