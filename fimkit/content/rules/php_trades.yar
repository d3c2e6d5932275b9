// What a page is broken into for: spam, doorways for search engines, stolen passwords and cards, floods, defaced pages.

rule php_mass_mailer {
  meta:
    description = "PHP mails what the request brings to whom the request names"
    severity = "suspect"
    attack = "T1566"
  strings:
    $mail = /(^|[^\w>:$'"-])@?(mail|mb_send_mail|imap_mail)\s*\(\s*["'@]?(\$|[a-z_]+\s*\(\s*\$)/i
    $direct = /(^|[^\w>:$'"-])@?(mail|mb_send_mail|imap_mail)\s*\([^;]{0,120}\$_(GET|POST|REQUEST|COOKIE)\s*[\[{][^;]{1,120}\$_(GET|POST|REQUEST|COOKIE)\s*[\[{]/i
    $list = /(explode|preg_split|split)\s*\(\s*["'][\/]?(\\r)?\\n[\/]?["']\s*,[^;]{0,60}(\$_(GET|POST|REQUEST)\s*[\[{]|\$(e?mails?|emaillist|to|list|recipients?|maillist|tos)\b)/i
    $packed = /(unserialize|json_decode)\s*\(\s*@?\(?(\w{3,20}\s*\(\s*){1,3}\$_(GET|POST|REQUEST|COOKIE)\s*[\[{]/i
    $each = /foreach\s*\(\s*\$\w|(while|for)\s*\(/i
    $posted = /\$_(POST|REQUEST)\s*[\[{]\s*['"]?(emaillist|emails?|mailist|maillist|from|realname|replyto|subject|message|letter|sender)/i
  condition:
    $mail and $each and (($direct and $list) or ($list and #posted > 2) or $packed)
}

rule php_cloaking {
  meta:
    description = "PHP shows searchers' robots, or visitors whom a search engine sent, a page from elsewhere"
    severity = "suspect"
    attack = "T1608.006"
  strings:
    $robot = /(googlebot|bingbot|baiduspider|yandexbot|yahoo!? ?slurp|msnbot|google(\\?\.|\|)|google["'|])/i
    $agent = /HTTP_(USER_AGENT|REFERER)/
    $fetch = /(file_get_contents|curl_init|fopen|curl_setopt|wp_remote_get|\w{0,12}(get|fetch|curl|http|load)\w{0,12})\s*\([^;]{0,120}https?:\/\/[^;]{0,160}(HTTP_HOST|SERVER_NAME|REQUEST_URI|\$host|\$uri|\$domain)/i
    $built = /\$\w+\s*=\s*[^;]{0,20}["']https?:\/\/[^;]{0,200}\?[^;]{0,160}(\$host|\$domain|HTTP_HOST|SERVER_NAME)[^;]{0,200}(REQUEST_URI|\$uri|HTTP_ACCEPT_LANGUAGE|\$lang|HTTP_USER_AGENT)/i
    $away = /HTTP_REFERER[^;{]{0,80}[;{\)][^;]{0,100}header\s*\(\s*["']Location:\s*https?:\/\/[^"']{4}/i
    $asked = /(file_get_contents|curl_exec|fopen|fsockopen|curl_init)\s*\(/i
    $show = /\b(echo|print|die|exit)\b/i
  condition:
    $robot and $agent and (($fetch and $show) or ($built and $asked and $show) or $away)
}

rule php_login_logger {
  meta:
    description = "PHP keeps or sends the passwords that people log in with"
    severity = "suspect"
    attack = "T1056.003"
  strings:
    $hook = /add_(filter|action)\s*\(\s*["'](authenticate|wp_authenticate(_user)?|wp_login|check_password|wp_login_failed)["']/i
    $keep = /(file_put_contents|fwrite|fputs|(^|[^\w>:$'"-])@?mail|wp_mail|wp_remote_(get|post)|file_get_contents|curl_setopt|setcookie)\s*\([^;]{0,200}\$_?\w{0,12}(pass(word|wd)?|pwd)\b/i
    $posted = /(file_put_contents|fwrite|fputs|wp_remote_(get|post)|file_get_contents)\s*\([^;]{0,200}\$_POST\s*\[\s*["'](pwd|pass(word|wd)?|log)["']/i
  condition:
    ($hook and $keep) or $posted
}

rule php_card_skimmer {
  meta:
    description = "PHP keeps or sends the payment data of a shop's customers"
    severity = "suspect"
    attack = "T1056.003"
  strings:
    $taken = /\$_(POST|REQUEST)\s*\[\s*["']?(payment|billing|cc_\w+|card\w*|cvv2?|cvc)["']?\s*\]/i
    $packed = /(base64_encode|openssl_\w*encrypt|serialize|json_encode|gzcompress|bin2hex|http_build_query|implode)\s*\(/i
    $picture = /(fopen|file_put_contents|error_log)\s*\([^;]{0,120}\.(jpe?g|png|gif|ico|css|js|log|tmp|dat)["'][^;]{0,120}/i
    $sent = /(curl_setopt|file_get_contents|fsockopen|stream_context_create|mail)\s*\([^;]{0,160}(https?:\/\/|POSTFIELDS|base64_decode)/i
    $tidy = /->\s*(validate|authorize|capture)\s*\(/i
  condition:
    #taken > 0 and $packed and ($picture or $sent) and (not $tidy or $picture)
}

rule php_flooder {
  meta:
    description = "PHP sends packets without end to a host that the request names"
    severity = "suspect"
    attack = "T1498"
  strings:
    $open = /(fsockopen|pfsockopen|stream_socket_client|socket_sendto)\s*\([^;]{0,60}(udp|tcp):\/\/[^;]{0,20}\$/i
    $plain = /fsockopen\s*\(\s*["']?(udp:\/\/)?["']?\s*\.?\s*\$_(GET|POST|REQUEST)/i
    $time = /\btime\s*\(\s*\)[^;]{0,40}[+<>][^;]{0,60}/i
    $loop = /while\s*\(/i
    $fill = /str_repeat\s*\(|\.=\s*["'][A-Za-z0-9]["']|(mt_)?rand\s*\(\s*1\s*,\s*65\d{3}/i
    $request = /\$_(GET|POST|REQUEST)\s*[\[{]/
  condition:
    $request and any of ($open, $plain) and $time and $loop and $fill
}

rule php_defacer {
  meta:
    description = "PHP walks folders and puts a page of the visitor's into each that it may write"
    severity = "suspect"
    attack = "T1491.002"
  strings:
    $walk = /\b(scandir|opendir|glob|RecursiveDirectoryIterator)\s*\(/i
    $may = /\bis_writ(e)?able\s*\(/i
    $write = /(file_put_contents|fwrite|fputs|copy|fopen)\s*\(\s*["'@]?\{?\$\w+[^;]{0,120}/i
    $word = /\b(mass|deface|defac|infect|inject|spread|massal|index)_?\w{0,16}\s*\(\s*\$/i
    $posted = /\$_(POST|REQUEST|GET)\s*\[\s*["']?\w{0,12}(dir|path|file|script|script_?name|content|index)\w{0,12}["']?\s*\]/i
  condition:
    all of them and #posted > 1
}

rule php_reads_accounts {
  meta:
    description = "PHP links to, or reads, the configurations of the host's other accounts"
    severity = "suspect"
    attack = "T1552.001"
  strings:
    $passwd = /\/etc\/(passwd|valiases|userdomains|named\.conf)/
    $link = /(symlink|link)\s*\(|\bln\s+-s\b/i
    $config = /wp-config\.php|configuration\.php|config\.inc\.php|settings\.php|\.my\.cnf|\.accesshash/
    $home = /\/home\d?\/|public_html/
    $sym = /Options\s+(\+?FollowSymLinks|all|Indexes)|symlink\s*\(\s*["']\/["']/i
  condition:
    $link and (($passwd and $config and $home) or ($passwd and $home and $sym) or ($config and $home and $sym))
}

rule php_rewrites_itself {
  meta:
    description = "PHP rewrites or plants PHP files with what the request brings, or keeps itself alive"
    severity = "suspect"
    attack = "T1554"
  strings:
    $self = /(file_put_contents|fopen|fwrite)\s*\(\s*(__FILE__|\$_SERVER\s*\[\s*["'](SCRIPT_FILENAME|PHP_SELF)["']\s*\]|basename\s*\(\s*__FILE__\s*\))[^;]{0,160}\$_(GET|POST|REQUEST|COOKIE)\s*[\[{]/i
    $abort = /ignore_user_abort\s*\(\s*(true|1)/i
    $gone = /unlink\s*\(\s*(__FILE__|\$_SERVER)/i
    $loop = /while\s*\(\s*(1|true|!0)\s*\)/i
    $plant = /(file_put_contents|fwrite|copy)\s*\(/i
  condition:
    $self or ($abort and $gone and $loop and $plant)
}
