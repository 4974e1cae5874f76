"""A Django site of nothing but django-helpdesk and its API, as its own documentation sets it up. Runs in its own venv.

python helpdesk_site.py                    migrate, make a queue and a user; prints {"token": …, "queue": …}
gunicorn helpdesk_site:application         serve
"""

import json
import os
import sys
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.management import call_command
from django.urls import include, path

_DATABASE = urlsplit(os.environ["HELPDESK_DSN"])

settings.configure(
    SECRET_KEY="bench",
    DEBUG=False,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    SITE_ID=1,
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": _DATABASE.path.lstrip("/"),
            "USER": _DATABASE.username,
            "PASSWORD": _DATABASE.password,
            "HOST": _DATABASE.hostname,
            "PORT": _DATABASE.port,
            "CONN_MAX_AGE": 600,
        }
    },
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.sites",
        "django.contrib.humanize",
        "django.contrib.admin",
        "django.contrib.messages",
        "rest_framework",
        "rest_framework.authtoken",
        "helpdesk",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"]},
    # Letters would be sent within the request: it is spared them.
    EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend",
    HELPDESK_API_ENABLED=True,
    HELPDESK_TEAMS_MODE_ENABLED=False,
)
django.setup()

urlpatterns = [path("", include("helpdesk.urls", namespace="helpdesk"))]

if __name__ == "__main__":
    from django.contrib.auth import get_user_model
    from helpdesk.models import Queue
    from rest_framework.authtoken.models import Token

    call_command("migrate", interactive=False, verbosity=0)
    user = get_user_model().objects.create_superuser("bench", "bench@bench.example", "bench")
    queue = Queue.objects.create(title="Bench", slug="bench")
    json.dump({"token": Token.objects.create(user=user).key, "queue": queue.id}, sys.stdout)
else:
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
