SELECT * FROM observed_prices
