SELECT @nothing AS x
