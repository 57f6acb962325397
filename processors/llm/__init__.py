"""The language model beside a stage: the one endpoint, who asks it and how often, its key and what it costs."""
