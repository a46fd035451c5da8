"""Stand-ins for cloud services, speaking the real wire protocols: Aliyun speech and OpenAI chat."""
