# SPDX-License-Identifier: MIT
"""A CloudStack for tests: its API's requests, signatures and answers, over a few hosts.

What it checks is what ApiServer.verifyRequest of CloudStack checks, computed here by Python's own
hmac; what it answers is what its JSON looks like, members without a value left out.
"""
import base64
import datetime
import hashlib
import hmac
import http.server
import json
import threading
import urllib.parse


def encoded(text):
    """java.net.URLEncoder, and %20 for '+'."""
    return urllib.parse.quote(text, safe='*').replace('~', '%7E')


class Server:
    def __init__(self, api_key, secret_key):
        self.api_key, self.secret_key = api_key, secret_key
        self.hosts = {}                 # id -> members
        self.calls = []                 # (command, parameters)
        self.misbehave = None           # (status, body) for all that comes
        self.before = lambda command, parameters: None
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                status, body = server.serve(
                    self.path, self.rfile.read(int(self.headers['content-length'])).decode())
                self.send_response(status)
                self.send_header('Content-Type', 'application/json; charset=UTF-8')
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.url = 'http://127.0.0.1:%d/client/api' % self.http.server_port
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()

    def add(self, name, address, tags=None, **more):
        ident = 'cccccccc-0000-4000-8000-%012d' % (len(self.hosts) + 1)
        self.hosts[ident] = dict(id=ident, name=name, ipaddress=address, type='Routing',
                                 hypervisor='XenServer', state='Up', **more)
        if tags is not None:
            self.hosts[ident]['hosttags'] = tags
        return ident

    def tags(self, ident):
        return set(filter(None, self.hosts[ident].get('hosttags', '').split(',')))

    def commands(self, command):
        return [p for c, p in self.calls if c == command]

    # ---- a request ----

    def serve(self, path, body):
        if self.misbehave:
            return self.misbehave
        parameters = dict(urllib.parse.parse_qsl(body, keep_blank_values=True, strict_parsing=True))
        command = parameters.get('command', '')
        self.calls.append((command, parameters))
        name = command.lower() + 'response'
        if path != '/client/api' or not self.is_signed(parameters):
            return 401, json.dumps({name: {'uuidList': [], 'errorcode': 401, 'errortext':
                                           'unable to verify user credentials and/or request signature'}}).encode()
        self.before(command, parameters)
        if command == 'listHosts':
            return 200, json.dumps({name: self.list(parameters)}).encode()
        if command == 'updateHost' and parameters.get('id') in self.hosts:
            return 200, json.dumps({name: {'host': self.update(parameters)}}).encode()
        return 431, json.dumps({name: {'uuidList': [], 'errorcode': 431, 'cserrorcode': 4350, 'errortext':
                                       'Unable to execute API command ' + command.lower()}}).encode()

    def is_signed(self, parameters):
        signature = parameters.pop('signature', '')
        text = '&'.join('%s=%s' % (n, encoded(parameters[n])) for n in sorted(parameters)).lower()
        right = base64.b64encode(hmac.new(self.secret_key.encode(), text.encode(), hashlib.sha1).digest())
        expires = datetime.datetime.strptime(parameters['expires'], '%Y-%m-%dT%H:%M:%S%z')
        left = expires - datetime.datetime.now(datetime.timezone.utc)
        return signature == right.decode() and parameters['apikey'] == self.api_key and \
            parameters['signatureversion'] == '3' and parameters['response'] == 'json' and \
            datetime.timedelta() < left < datetime.timedelta(hours=1)

    def list(self, parameters):
        found = [h for h in self.hosts.values()
                 if all(h.get(k) == parameters.get(k, h.get(k)) for k in ('id', 'type', 'hypervisor'))]
        size = int(parameters.get('pagesize', 500))
        first = (int(parameters.get('page', 1)) - 1) * size
        page = found[first:first + size]
        return {'count': len(found), 'host': page} if page else {}

    def update(self, parameters):
        """A HashSet: no order, nothing twice."""
        host = self.hosts[parameters['id']]
        tags = ','.join(sorted({t.strip() for t in parameters['hosttags'].split(',')} - {''}, reverse=True))
        host['hosttags'] = tags
        if 'explicithosttags' in host:
            host['explicithosttags'] = tags
            host['hosttags'] = ','.join(filter(None, [tags, host.get('implicithosttags', '')]))
        if not host['hosttags']:
            del host['hosttags']
        return host
