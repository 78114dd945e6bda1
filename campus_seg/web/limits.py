"""What several rooms of the page have to agree on. Without heavy imports, for a command's --help is to be quick."""

# What can be drawn of a result, and the ending of its file.
KINDS = {
    "view": ".jpg",
    "overlay": ".jpg",
    "binary": ".png",
    "rgb": ".png",
    "instances": ".png",
    "cutouts": ".zip",
    "predictions": ".json",
}
LEAST = 0.05  # the score below which nothing is asked of the model
MAX_MEGAPIXELS = 50  # of a photo, where nothing else is said
CEILING = 178  # megapixels, above which Pillow itself takes a photo for an attack
KEEP = 1800.0  # seconds, after which a result is gone at the latest
SWEEP = 60.0  # seconds, at most, between two looks for results that are too old
