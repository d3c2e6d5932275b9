// ASP, ASP.NET and ColdFusion that run, load or store what a request brings.

rule asp_eval_request {
  meta:
    description = "ASP evaluates the request"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $eval = /\b(eval|execute|executeglobal)\b[\s("'+&]{1,12}([\w.]{1,30}\s*[(\[]\s*){0,4}request\s*(\.\s*(item|form|querystring|cookies|params|headers|servervariables|binaryread)){0,3}\s*[(\["]/i
    $script = /AddCode\s*[( ]\s*request\s*[(.]/i
    $taken = /\b(\w{1,30})\s*=\s*(\w{1,20}\s*\(\s*){0,2}request\s*(\.\s*(item|form|querystring|cookies|params|headers))?\s*[(\[]/i
    $run = /(^|[\s:;<%])(eval|execute|executeglobal)\s*[( ]\s*\(?\s*[a-z_]\w{0,30}\s*[)\r\n:%&,(]/i
    $function = /new\s+(Function|ActiveXObject)\s*\(\s*(String\s*\(\s*)?(\w{1,30}\s*\)|Request\s*[.(])/i
    $page = /<%|<script[^>]{1,80}runat\s*=\s*["']?server/i
  condition:
    $page and (any of ($eval, $script) or ($function and $taken) or ($taken and $run))
}

rule asp_shell_object {
  meta:
    description = "ASP runs a command by a shell object"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $page = /<%|<script[^>]{1,80}runat\s*=\s*["']?server/i
    $object = /(w(["']\s*[&+]\s*["'])?s(["']\s*[&+]\s*["'])?c(["']\s*[&+]\s*["'])?r(["']\s*[&+]\s*["'])?i(["']\s*[&+]\s*["'])?p(["']\s*[&+]\s*["'])?t(["']\s*[&+]\s*["'])?\.(["']\s*[&+]\s*["'])?s(["']\s*[&+]\s*["'])?h(["']\s*[&+]\s*["'])?e(["']\s*[&+]\s*["'])?l(["']\s*[&+]\s*["'])?l)|shell\.application|72C24DD5-D70A-438B-8A42-98424B88AFB8|13709620-C279-11CE-A49E-444553540000/i
    $run = /\.\s*(exec|run|ShellExecute)\s*[( "]/i
    $request = /request\s*(\.\s*(item|form|querystring|cookies|servervariables))?\s*[(\[]/i
  condition:
    all of them
}

rule asp_writes_file {
  meta:
    description = "ASP writes a file out of the request"
    severity = "suspect"
    attack = "T1105"
  strings:
    $page = /<%|<script[^>]{1,80}runat\s*=\s*["']?server/i
    $object = /Scripting\.FileSystemObject|Adodb\.Stream|ad(["']\s*&\s*["'])odb\.stream|0D43FE01-F093-11CF-8940-00A0C9054228/i
    $write = /\.\s*(CreateTextFile|OpenTextFile|SaveToFile)\b/i
    $request = /\.\s*Write(Line|Text)?\s*[( ]\s*request|request\s*\.\s*(BinaryRead|TotalBytes)|(CreateTextFile|SaveToFile|OpenTextFile)\s*[( ]\s*\(?[^\n]{0,60}request\s*[(.]|Server\.MapPath\s*\(\s*request\s*[(.]/i
    $net = /(File\.Write(AllText|AllBytes)|new\s+StreamWriter|File\.Create(Text)?)\s*\([^;]{0,160}Request\s*[.\[(]/i
  condition:
    $page and (($object and $write and $request) or $net)
}

rule aspx_runs_command {
  meta:
    description = "ASP.NET page starts a program named by the visitor"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $page = /<%@?\s*(page|webhandler|webservice|language)|<script[^>]{1,80}runat\s*=\s*["']?server|<%/i
    $start = /Process\s*\.\s*Start\s*\(|new\s+(System\.Diagnostics\.)?Process(StartInfo)?\b|Dim\s+\w+\s+As\s+New\s+(System\.Diagnostics\.)?Process/i
    $input = /Request\s*(\.\s*(Form|QueryString|Params|Headers|Item|Cookies|InputStream|BinaryRead))?\s*[\[(.]|\b\w{1,30}\.(Text|Value)\b/i
    $shell = /cmd(\.exe)?["']|powershell|\/bin\/(ba)?sh|\.\s*Arguments\s*=|UseShellExecute|RedirectStandardOutput|Process\s*\.\s*Start\s*\(\s*Request/i
  condition:
    all of them
}

rule aspx_loads_code {
  meta:
    description = "ASP.NET page loads or compiles code from the request"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $page = /<%@?\s*(page|webhandler|webservice|language)|<script[^>]{1,80}runat\s*=\s*["']?server|<%/i
    $load = /Assembly\s*\.\s*Load\s*\(|Assembly\)?\s*\.\s*GetMethod\s*\(\s*"Load"|CompileAssemblyFromSource|CSharpCodeProvider|VBCodeProvider|JScriptCodeProvider|ObjectStateFormatter|LosFormatter|BinaryFormatter/i
    $request = /Request\s*(\.\s*(Form|QueryString|Params|Headers|Item|Cookies|InputStream|BinaryRead))?\s*[\[(.]|Session\s*\[|FromBase64String/i
    $powershell = /AddScript\s*\([^;]{0,60}(Request|\.Text\b|\.Value\b)/i
    $jscript = /eval\s*\(\s*([\w.]{1,60}\s*\(\s*){0,4}Request\s*(\.\s*(Item|Form|QueryString|Params))?\s*[\[(][^;]{1,160}["']\s*un(["']\s*\+\s*["'])?safe/i
  condition:
    $page and (($load and $request) or $jscript or $powershell)
}

rule aspx_uploader {
  meta:
    description = "A small ASP.NET page that stores whatever is uploaded"
    severity = "suspect"
    attack = "T1105"
  strings:
    $page = /<%@?\s*(page|webhandler|language)|<script[^>]{1,80}runat\s*=\s*["']?server/i
    $save = /\.\s*SaveAs\s*\(/i
    $file = /Request\s*\.\s*Files|PostedFile|FileUpload|HttpPostedFile|HtmlInputFile/i
  condition:
    filesize < 6KB and $page and $save and $file
}

rule asp_disguised {
  meta:
    description = "ASP that hides its program: encoded script, words in pieces, letters by their numbers"
    severity = "suspect"
    attack = "T1027"
  strings:
    $page = /<%|<script[^>]{1,80}runat\s*=\s*["']?server/i
    $encoded = /#@~\^[A-Za-z0-9+\/]{6}==/
    $chr = /(chrw?\s*\(\s*(&H[0-9a-f]{2}|\d{2,3})\s*\)\s*[&+]\s*){4}/i
    $strreverse = /\b(execute|eval|executeglobal)[ \t(]{1,6}(strreverse|unescape|replace|chrw?|decode)\s*\(\s*["\w]|\b(execute|executeglobal)[ \t(]{1,6}[a-z]{1,12}\s*\(\s*"/i
    $split = /["'](e["']\s*[&+]\s*["']?v|ev["']\s*[&+]\s*["']?a|eva["']\s*[&+]\s*["']?l|ex["']\s*[&+]\s*["']?ec|exe["']\s*[&+]\s*["']?cu)/i
    $unicode = /(\\u00[4-7][0-9a-f]){4}|(@?\\U000000[4-7][0-9a-f]){4}/i
  condition:
    $page and any of ($encoded, $chr, $strreverse, $split, $unicode)
}

rule coldfusion_executes {
  meta:
    description = "ColdFusion page runs a command or writes a file out of the request"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $execute = /<cfexecute\b[^>]{0,300}#\s*(form|url|cookie|cgi|[\w.]{1,40})\b/i
    $write = /<cffile\b[^>]{0,300}action\s*=\s*["']?(write|append|upload)[^>]{0,300}#?(form|url|expandpath|cgi)\b/i
    $eval = /(evaluate|PrecisionEvaluate)\s*\(\s*(form|url|cookie|cgi)\b/i
    $input = /#?\b(form|url)\.\w/i
  condition:
    ($execute or $eval or ($write and $input))
}
