"""Learning that holds elsewhere: folds that mirror the use, features, intervals, and where they hold."""
