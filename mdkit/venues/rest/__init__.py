"""How venues' REST services are asked, and what their answers mean. Pure: no sockets here.

api.py          `RestApi`: what must be known of a service
public.py       `PublicRest`: what those of keyless venues have in common
klines.py       bars as they stand in answers, and what makes one impossible
retry_after.py  how long a refusal asks to wait
"""
