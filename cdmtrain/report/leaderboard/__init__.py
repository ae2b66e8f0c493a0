"""The leaderboard: runs ranked side by side."""
