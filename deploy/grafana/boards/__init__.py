"""Every dashboard, in the order of a first look."""

from deploy.grafana.boards.delivery import DELIVERY
from deploy.grafana.boards.http import HTTP
from deploy.grafana.boards.messages import MESSAGES
from deploy.grafana.boards.overview import OVERVIEW
from deploy.grafana.boards.processes import PROCESSES
from deploy.grafana.boards.sla import SLA

BOARDS = (OVERVIEW, DELIVERY, HTTP, SLA, MESSAGES, PROCESSES)
