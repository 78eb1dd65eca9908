"""Small tasks outside the package: they prove that its contracts carry several arrays in and out."""
