"""Where the hands are in a picture: MediaPipe's palm detector and hand landmark network, run by LiteRT."""
