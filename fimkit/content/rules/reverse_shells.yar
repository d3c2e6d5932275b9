// Programs that call out and hand a shell to whoever answers.

rule reverse_shell_command {
  meta:
    description = "A command line that gives a shell to another host"
    severity = "suspect"
    attack = "T1059.004"
  strings:
    $bash = /(ba|da|z|k)?sh\s+-\w{0,4}i\w{0,4}\s*([>&<0-9 ]{1,8}|\|[^\n]{0,40})\s*\/dev\/(tcp|udp)\//
    $fd = /exec\s+\d{1,3}<>\s*\/dev\/(tcp|udp)\/[^\n;]{3,120}/
    $fd_use = /(<&\s*\d{1,3}|>&\s*\d{1,3}|\d{1,3}>&\d{1,3})/
    $tcp_any = /\/dev\/(tcp|udp)\/[^\n;\s]{3,80}\s*(0>&1|0<&1|<&1|1>&0|>&1\s+2>&1|\|\s*(\/bin\/)?(ba)?sh)/
    $nc = /\b(nc|ncat|netcat|nc\.traditional|nc\.openbsd|busybox\s+nc)\b[^\n;|]{0,80}\s(-\w{0,6}[ec]\w{0,3}|--(sh-)?exec)\s*["']?(\/bin\/|\/usr\/bin\/)?((ba|da|z|k|c)?sh|cmd(\.exe)?)\b/
    $fifo = /(mkfifo|mknod)\s[^\n]{1,120}\b(sh|bash|dash|zsh)\b[^\n]{0,60}\|\s*(nc|ncat|netcat|telnet|openssl|busybox)\b/
    $telnet = /\btelnet\s[^\n|]{4,80}\|\s*(\/bin\/)?(ba)?sh\s*\|\s*telnet\b/
    $socat = /\bsocat\b[^\n]{0,160}(exec|system):\s*["']?[^\n]{0,30}(sh|bash|cmd)\b/i
    $awk = /\/inet\/(tcp|udp)\/\d+\/[^\n]{1,300}(getline|\|&)/
    $curl = /(ba|da|z)?sh\s+-c\s+["'](\$\(|`)\s*(curl|wget)\b[^\n]{4,200}["']/
    $xterm = /\bxterm\s+-display\s+\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}/
    $php_r = /php\d?\s+-r\s+["'][^\n]{0,20}fsockopen\s*\([^\n]{4,120}(exec|shell_exec|system|passthru|proc_open|popen|`)/
    $ztcp = /\bztcp\s+(-\w+\s+)*[\w.$]{2,80}\s+\d{1,5}\b[^\n]{0,80}(>&|<&)\s*\$/
  condition:
    any of ($bash, $ztcp, $nc, $fifo, $telnet, $socat, $awk, $xterm, $php_r) or ($tcp_any) or ($fd and $fd_use) or $curl
}

rule reverse_shell_script {
  meta:
    description = "A script that connects a shell to a socket"
    severity = "suspect"
    attack = "T1059"
  strings:
    $py_socket = /socket\s*\.\s*socket\s*\(|socket\.create_connection\s*\(|import\s+socket/
    $py_dup = /\bos\s*\.\s*dup2\s*\(|dup2\s*\(\s*\w+\s*\.\s*fileno/
    $py_shell = /pty\s*\.\s*spawn\s*\(|subprocess\s*\.\s*(call|Popen|run)\s*\(\s*\[?\s*["']\/?(bin\/)?(ba|da|z)?sh|["']\/bin\/(ba|da|z)?sh["']/
    $py_loop = /\.\s*recv\s*\(\s*\d+/
    $py_run = /(os\s*\.\s*popen|subprocess\s*\.\s*(getoutput|check_output|Popen|run))\s*\(/
    $py_send = /\.\s*send(all)?\s*\(/
    $py_connect = /\.\s*connect\s*\(\s*\(/
    $perl_socket = /(use\s+(IO::)?Socket|IO::Socket::INET|socket\s*\(\s*\w+\s*,\s*(&?PF_INET|2))/
    $perl_open = /open\s*\(?\s*\*?STD(IN|OUT|ERR)\s*,\s*["']?[<>]{1,2}&|STDIN->fdopen|fdopen\s*\(\s*\$\w+/
    $perl_exec = /exec\s*[({]?\s*\{?\s*["']\/?(usr\/)?(bin\/)?(ba|da|z)?sh|\$~->fdopen|system\s*\$_|exec\s*\(?\s*["']\/bin/
    $ruby = /TCPSocket\s*\.\s*(open|new)\s*\([^\n]{1,200}(exec|IO\.popen|\/bin\/(ba)?sh|spawn)/
    $ruby_socket = /TCPSocket\s*\.\s*(open|new)\s*\(/
    $ruby_run = /IO\.popen\s*\(\s*\w+|exec\s+sprintf\s*\(\s*["']\/bin/
    $php_socket = /\b(fsockopen|stream_socket_client|socket_connect|pfsockopen)\s*\(/i
    $php_shell = /(proc_open|popen|exec|shell_exec|system|passthru)\s*\(\s*["'](\/bin\/|\/usr\/bin\/)?((ba|da|z)?sh|cmd(\.exe)?)\b|["'](uname -a; w; id; )?\/bin\/(ba)?sh -i["']|["']cmd\.exe["']/i
    $php_loop = /(fwrite|fputs|socket_write)\s*\([^;]{0,60}(shell_exec|`\$|system\s*\(\s*\$)/i
    $php_read = /(fgets|fread|socket_read|stream_get_line|stream_get_contents)\s*\(\s*\$\w+/i
    $php_run = /(^|[^\w>:$'"-])(shell_exec|exec|system|popen|passthru|eval)\s*\(\s*["']?\$\w/i
    $php_write = /(fwrite|fputs|socket_write|stream_socket_sendto)\s*\(\s*\$\w+\s*,/i
    $php_listen = /\b(socket_listen|stream_socket_server|socket_create_listen)\s*\(/i
    $php_accept = /\b(socket_accept|stream_socket_accept)\s*\(/i
    $php_serve = /(^|[^\w>:$'"-])(shell_exec|exec|system|popen|passthru|proc_open|eval)\s*\(\s*["'@]?(\$\w|trim\s*\(\s*\$)/i
    $node_socket = /(net\s*\.\s*(connect|createConnection|Socket)\b|new\s+\w+\.Socket\s*\()/
    $node_shell = /(spawn|exec|fork)\s*\(\s*["'](\/bin\/)?((ba|da|z)?sh|cmd(\.exe)?|powershell)["']/
    $node_pipe = /\.\s*(stdout|stdin|stderr)\s*\.\s*(pipe|on)\s*\(|\.pipe\s*\(\s*\w+\.stdin/
    $java_socket = /new\s+(java\.net\.)?Socket\s*\(/
    $java_shell = /["'](\/bin\/(ba)?sh|cmd(\.exe)?)["']/
    $java_run = /ProcessBuilder|getRuntime\s*\(\s*\)\s*\.\s*exec/
    $java_streams = /getOutputStream\s*\(\s*\)/
    $lua = /socket\.tcp\s*\(\s*\)[^\n]{0,2000}(io\.popen|os\.execute)\s*\(/
    $ps_client = /Net\.Sockets\.TCPClient/i
    $ps_run = /\b(iex|Invoke-Expression|cmd\.exe)\b/i
    $go = /net\.Dial\s*\(\s*"tcp"[^\n]{0,400}exec\.Command\s*\(\s*"(\/bin\/)?(ba)?sh/
  condition:
    filesize < 300KB and (
      ($py_socket and $py_dup and $py_shell)
      or ($py_socket and $py_connect and $py_loop and $py_run and $py_send and filesize < 8KB)
      or ($perl_socket and $perl_open and $perl_exec)
      or $ruby or ($ruby_socket and $ruby_run)
      or ($php_socket and any of ($php_shell, $php_loop))
      or ($php_socket and $php_read and $php_run and $php_write and filesize < 6KB)
      or ($php_listen and $php_accept and $php_serve)
      or ($node_socket and $node_shell and $node_pipe)
      or ($java_socket and $java_shell and $java_run and $java_streams and filesize < 40KB)
      or $lua or ($ps_client and $ps_run) or $go)
}

rule powershell_encoded {
  meta:
    description = "PowerShell started with an encoded command, or fetching what it runs"
    severity = "suspect"
    attack = "T1059.001"
  strings:
    $encoded = /powershell(\.exe)?\s[^\n]{0,120}-e(c|nc|ncodedcommand)?\s+["']?[A-Za-z0-9+\/]{40}/i
    $fetch = /(iex|invoke-expression)[\s(]{1,6}[^\n]{0,40}(new-object\s+(system\.)?net\.webclient|(invoke-webrequest|iwr|irm)\s{1,4}(-\w{1,20}\s{1,4})*["'$(h])[^\n]{0,60}/i
    $piped = /(downloadstring|invoke-webrequest|iwr|irm)[\s(]{1,4}[^\n|]{4,160}\|\s*(iex|invoke-expression)/i
  condition:
    $encoded or (any of ($fetch, $piped))
}
