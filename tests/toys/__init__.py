"""Small tasks that are no part of the package: they prove that its contracts carry more than one array in and out."""
